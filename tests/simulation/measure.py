"""Measures the suites: which of them finds a known bug that was put into the product, and how fast.

Each suite runs in a process of its own with a limit of CPU time, so that a bug that makes something
run for ever is found, too.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RLIMIT_CPU, RUSAGE_CHILDREN, getrusage, setrlimit
from typing import NamedTuple

from tests.simulation.known_bugs import BUGS, installed_bug
from tests.simulation.run import run_world

#: Worlds that a bug gets; the simulation does not find a bug that lives through all of them.
MAX_WORLDS = 4
#: Seconds of CPU time that one suite gets for one bug.
LIMIT_S = 120
#: The suites that search, and the rooms of the facade whose code they run.
SEARCHES = {
    "tests/unit/facade/lifecycle/test_exhaustive.py": "lifecycle",
    "tests/unit/facade/log/test_acknowledged.py": "log",
}
MODEL = "tests/unit/facade/lifecycle/test_model.py"
ENDLESS = "does not end"


class Finding(NamedTuple):
    """How one suite met a bug."""

    #: The first test or the promises that failed; empty if everything held.
    found: str
    #: Seconds of CPU time.
    seconds: float

    def __str__(self) -> str:
        """The cell of the table."""
        return f"{self.found or 'no'}, {self.seconds:.0f} s"


class Row(NamedTuple):
    """How each suite met a bug; `None` stands for a suite that does not run the bug's code."""

    bug: str
    search: Finding | None
    model: Finding | None
    unit: Finding | None
    simulation: Finding | None

    @property
    def is_found(self) -> bool:
        """Whether a suite has found the bug."""
        return any(one and one.found for one in self[1:])

    def __str__(self) -> str:
        """The row of the table in the README."""
        return f"| {' | '.join([self.bug, *(str(one or 'not run') for one in self[1:])])} |"


def measure(seed: int, only: str = "") -> Iterator[Row]:
    """Yields a row for each bug whose name contains `only`."""
    for name in BUGS:
        if only in name:
            _, program, room, *_ = BUGS[name].module.split(".")
            searches = [path for path, of in SEARCHES.items() if (program, room) == ("facade", of)]
            yield Row(
                name,
                run_tests(name, searches) if searches else None,
                run_tests(name, [MODEL]) if room == "lifecycle" else None,
                _run_unit_tests(name, program, room),
                _run_worlds(name, seed),
            )


def _run_unit_tests(name: str, program: str, room: str) -> Finding:
    """Runs the tests of the bug's room, and those of the whole program if they found nothing."""
    folder = f"tests/unit/{program}"
    own = f"{folder}/{room}" if Path(folder, room).is_dir() else f"{folder}/test_{room}.py"
    without = [f"--ignore={path}" for path in (*SEARCHES, MODEL)]
    first = run_tests(name, [own, *without])
    if first.found:
        return first
    second = run_tests(name, [folder, *without])
    return Finding(second.found, first.seconds + second.seconds)


def run_tests(name: str, arguments: Sequence[str]) -> Finding:
    """Runs tests with the bug until one fails."""
    options = "-x -q --tb=no -n 0 -p no:cacheprovider -p tests.simulation.bug_plugin --known-bug"
    command = [sys.executable, "-m", "pytest", *options.split(), name, *arguments]
    begin = _cpu_time()
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=_limit_cpu_time, check=False
    )
    seconds = _cpu_time() - begin
    failed = [
        line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    ]
    if failed:
        return Finding(f"`{Path(failed[0].partition('::')[0]).name}`", seconds)
    if done.returncode < 0:
        return Finding(ENDLESS, seconds)
    if done.returncode:
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout}{done.stderr}")
    return Finding("", seconds)


def _run_worlds(name: str, seed: int) -> Finding:
    """Runs worlds with the bug until one breaks a promise."""
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    begin = _cpu_time()
    process = context.Process(target=_find_breach, args=(name, seed, sending))
    process.start()
    sending.close()
    process.join()
    found = receiving.recv() if receiving.poll() and process.exitcode == 0 else ENDLESS
    return Finding(found, _cpu_time() - begin)


def _find_breach(name: str, seed: int, sending: Connection) -> None:
    _limit_cpu_time()
    with installed_bug(name):
        for number in range(MAX_WORLDS):
            result = run_world(f"{seed}-{number}")
            if not result.held:
                breaches = ", ".join(f"`{one}`" for one in sorted(result.breaches))
                worlds = f"{number + 1} world{'s' if number else ''}"
                sending.send(f"{breaches} in {worlds}")
                return
    sending.send("")


_limit_cpu_time: Callable[[], None] = partial(setrlimit, RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))


def _cpu_time() -> float:
    """Returns the seconds of CPU time of all processes that this one has waited for."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
