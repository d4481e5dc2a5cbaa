"""The failures of the state file: damage, which a rebuild from the log cures, and a full disk."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

log = logging.getLogger("fabric_jobs.replica")

#: Bytes that must be free in the folder at start: more than a batch of jobs and its indexes take.
MIN_FREE_BYTES = 32 * 1024 * 1024
#: The primary error codes of SQLite that are the disk's or the folder's, and not the content's.
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}


class StateError(Exception):
    """The state file can't be used; the message has its path, and says what to do."""


class StateDamagedError(StateError):
    """The content of the state file is damaged: delete the file and build it again from the log."""


class StateFailure:
    """The first failure of a state file. Everything that uses the file fails after it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        #: Ends with the first failure; it has no other result.
        self.future: Future[None] = Future()

    def raise_if_failed(self) -> None:
        """Raises the first failure, if there was one."""
        if self.future.done():
            self.future.result()

    @contextmanager
    def catch(self) -> Iterator[None]:
        """Raises `StateError` for an error of SQLite's, or of a row that can't be decoded.

        Raises the first failure, if there was one: the rows may be older than what was answered
        before it, because the jobs that were to be written are missing.
        """
        self.raise_if_failed()
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise  # a defect of this program
        except (sqlite3.Error, msgspec.DecodeError) as error:
            failure = self._explain(error)
            if not self.future.done():
                self.future.set_exception(failure)
            raise failure from error

    def _explain(self, error: Exception) -> StateError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _DISK_ERRORS:
            folder = self._path.parent if self._path else "memory"
            return StateError(
                f"The state file {self._path} can't be read or written ({error}). Make room in "
                f"{folder}, or give this facade another folder (FABRIC_JOBS_STATE_DIR)."
            )
        return StateDamagedError(f"The state file {self._path} is damaged ({error}).")


def discard(path: Path) -> None:
    """Deletes the file, with its WAL. The log has all its content."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)


def require_room(folder: Path) -> None:
    """Raises `StateError` if a file of `MIN_FREE_BYTES` can't be written in the folder."""
    probe = folder / "room"
    try:
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, MIN_FREE_BYTES)
    except OSError as error:
        raise StateError(
            f"The folder {folder} has no room for this facade's state ({error.strerror}): it needs "
            f"{MIN_FREE_BYTES // 1024**2} MiB at least. Make room in it, or give this facade "
            "another folder (FABRIC_JOBS_STATE_DIR)."
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink()
