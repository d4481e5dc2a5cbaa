"""The content of files that may change while the facade runs.

Files that can't be used change nothing: the facade goes on with the last content that it could use.
"""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from fabric_jobs.runtime.settings import SettingsError

log = logging.getLogger("fabric_jobs.facade")

Content = TypeVar("Content")


class Reports(NamedTuple):
    """What is logged, once for each change."""

    #: The files can't be used. The reason follows.
    unusable: str
    #: Other content than before is used now.
    changed: str
    #: The files can be used again, and their content is the old one.
    restored: str


class UsableContent(Generic[Content]):
    """The last content of files that could be used. Any thread may call all methods."""

    def __init__(
        self, read: Callable[[], Content], verify: Callable[[Content], None], reports: Reports
    ) -> None:
        """Reads the files. Raises what `read` and `verify` raise: `OSError` and `SettingsError`."""
        self._read = read
        self._verify = verify
        self._reports = reports
        self._usable = read()
        verify(self._usable)
        #: What was read last, and why it can't be used; None if it can.
        self._found: Content | None = self._usable
        self._fault: str | None = None
        self._lock = Lock()

    def read(self) -> Content:
        """Reads the files again. Returns the last content that could be used."""
        with self._lock:
            self._refresh()
            return self._usable

    def is_unusable(self) -> bool:
        """Reads the files again. Whether they can't be used, so that older content is in use."""
        with self._lock:
            self._refresh()
            return self._fault is not None

    def _refresh(self) -> None:
        found, fault = None, None
        try:
            found = self._read()
            if found != self._found:
                self._verify(found)
            else:
                fault = self._fault
        except (OSError, SettingsError) as error:
            fault = str(error)
        if (found, fault) == (self._found, self._fault):
            return
        self._found, self._fault = found, fault
        if fault is not None:
            log.error("%s: %s", self._reports.unusable, fault)
        elif found is not None and found != self._usable:
            self._usable = found
            log.info(self._reports.changed)
        else:
            log.info(self._reports.restored)
