"""What a measurement of one suite with one bug gives, and the limit of CPU time that it has."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RLIMIT_CPU, RUSAGE_CHILDREN, getrusage, setrlimit
from signal import SIGKILL, SIGXCPU
from typing import NamedTuple

#: Seconds of CPU time that one process of a suite gets for one bug.
LIMIT_S = 120
#: Exit codes of a process that had used up its CPU time.
OVER_LIMIT = (-SIGXCPU, -SIGKILL)
ENDLESS = "does not end"

limit_cpu_time: Callable[[], None] = partial(setrlimit, RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))


class MeasureError(Exception):
    """A part of the measurement itself failed, so that the bug was not measured."""


class Finding(NamedTuple):
    """How one suite met a bug."""

    #: The first file of tests that failed, or the kinds of breaches; empty if everything held.
    found: str
    #: Seconds: of CPU time, or of the run for the chaos suite.
    seconds: float
    #: Files that failed, although not because of the bug.
    unstable: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The cell of the table."""
        found = self.found or "no"
        if self.unstable and not self.found:
            found += f" (unstable: {', '.join(f'`{Path(one).name}`' for one in self.unstable)})"
        return f"{found}, {self.seconds:.0f} s"


def cpu_time() -> float:
    """Returns the seconds of CPU time of all processes that this one has waited for."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
