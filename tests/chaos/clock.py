"""A program's own wall clock, by libfaketime; its monotonic clock stays that of the machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def why_unavailable() -> str | None:
    """Why this machine can't step a program's clock, or None."""
    return None if _LIBRARIES else "libfaketime is not installed"


class Clock:
    """The distance of a program's wall clock from the machine's, read anew each second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._step(0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the program reads this clock."""
        if not _LIBRARIES:
            return {}
        return {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    @contextmanager
    def stepped(self, seconds: int) -> Iterator[None]:
        """So far ahead (or behind, below 0) until the end of the block."""
        self._step(seconds)
        try:
            yield
        finally:
            self._step(0)

    def _step(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)
