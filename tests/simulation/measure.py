"""Measures the simulation itself: how many worlds each known bug lives through."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.simulation.known_bugs import BUGS, installed_bug
from tests.simulation.run import run_world

#: Worlds that a bug gets; one that lives through all of them is not found.
MAX_WORLDS = 6


class Finding(NamedTuple):
    """How a bug was found; `breach` is empty if it was not."""

    bug: str
    worlds: int
    seconds: float
    breach: str

    def __str__(self) -> str:
        """The row of the table in the README."""
        found = self.breach or "not found"
        return f"| {self.bug} | {self.worlds} | {self.seconds:.0f} | {found} |"


def measure(seed: int, only: str = "") -> Iterator[Finding]:
    """Yields a finding for each bug whose name contains `only`."""
    for name in BUGS:
        if only in name:
            yield _find(name, seed)


def _find(name: str, seed: int) -> Finding:
    begin = time.process_time()
    with installed_bug(name):
        for number in range(MAX_WORLDS):
            result = run_world(f"{seed}-{number}")
            if not result.held:
                breach = ", ".join(f"`{one}`" for one in sorted(result.breaches))
                return Finding(name, number + 1, time.process_time() - begin, breach)
    return Finding(name, MAX_WORLDS, time.process_time() - begin, "")
