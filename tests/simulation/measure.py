"""Measures the suites: which of them finds a known bug that was put into the product, and how fast.

Each suite runs in a process of its own with a limit, so that a bug that makes something run for
ever is found, too.
"""

import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tests.simulation.finding import (
    ENDLESS,
    OVER_LIMIT,
    Finding,
    MeasureError,
    cpu_time,
    limit_cpu_time,
)
from tests.simulation.known_bugs import BUGS, installed_bug
from tests.simulation.measure_chaos import run_chaos
from tests.simulation.run import run_world

#: Worlds that a bug gets; the simulation does not find a bug that lives through all of them.
MAX_WORLDS = 4
#: The suites that search, and the rooms of the facade whose code they run.
SEARCHES = {
    "tests/unit/facade/lifecycle/test_exhaustive.py": "lifecycle",
    "tests/unit/facade/log/test_acknowledged.py": "log",
}
MODEL = "tests/unit/facade/lifecycle/test_model.py"
#: The exit code of pytest if it was given no tests.
NO_TESTS = 5


class Row(NamedTuple):
    """How each suite met a bug; `None` stands for a suite that was not run."""

    bug: str
    findings: Sequence[Finding | None]

    @property
    def is_found(self) -> bool:
        """Whether a suite has found the bug."""
        return any(one and one.found for one in self.findings)

    def __str__(self) -> str:
        """The row of the table in the README."""
        return f"| {' | '.join([self.bug, *(str(one or 'not run') for one in self.findings)])} |"


def measure(seed: int, suites: Collection[str], only: str = "") -> Iterator[Row]:
    """Yields a row for each bug whose name contains `only`.

    Raises `MeasureError` if a suite failed for another reason than the bug.
    """
    for name in BUGS:
        if only in name:
            yield Row(name, [run(name, seed) if it in suites else None for it, run in RUNS.items()])


def _room_of(name: str) -> tuple[str, str]:
    """Returns the program and the room of the code that a bug changes."""
    _, program, room, *_ = BUGS[name].module.split(".")
    return program, room


def _run_searches(name: str, _: int) -> Finding | None:
    searches = [path for path, room in SEARCHES.items() if ("facade", room) == _room_of(name)]
    return run_tests(name, searches) if searches else None


def _run_model(name: str, _: int) -> Finding | None:
    return run_tests(name, [MODEL]) if _room_of(name) == ("facade", "lifecycle") else None


def _run_unit_tests(name: str, _: int) -> Finding:
    """Runs the tests of the bug's room, and those of the whole program if they found nothing."""
    program, room = _room_of(name)
    folder = f"tests/unit/{program}"
    own = f"{folder}/{room}" if Path(folder, room).is_dir() else f"{folder}/test_{room}.py"
    without = [f"--ignore={path}" for path in (*SEARCHES, MODEL)]
    first = run_tests(name, [own, *without])
    if first.found:
        return first
    second = run_tests(name, [folder, *without, *(f"--deselect={one}" for one in first.unstable)])
    return Finding(
        second.found, first.seconds + second.seconds, (*first.unstable, *second.unstable)
    )


def run_tests(name: str, arguments: Sequence[str]) -> Finding:
    """Runs tests with the bug until a file fails because of it.

    A file fails because of the bug if it fails again when it runs alone with the bug, and passes
    without the bug. Any other file that fails is unstable, and the tests go on without it. The
    seconds are those of the runs with the bug, without the repetitions.
    """
    seconds, unstable = 0.0, list[str]()
    while True:
        deselected = [f"--deselect={path}" for path in unstable]
        failed, taken = _run_pytest(name, [*arguments, *deselected])
        seconds += taken
        if not failed:
            return Finding("", seconds, tuple(unstable))
        repeated = [*arguments, *deselected] if failed == ENDLESS else [failed]
        if _run_pytest(name, repeated)[0] and not _run_pytest("", repeated)[0]:
            found = ENDLESS if failed == ENDLESS else f"`{Path(failed).name}`"
            return Finding(found, seconds, tuple(unstable))
        if failed == ENDLESS or failed in unstable:
            raise MeasureError(f"without the bug {name!r}, {failed} fails too: {repeated}")
        unstable.append(failed)


def _run_pytest(name: str, arguments: Sequence[str]) -> tuple[str, float]:
    """Returns the first file that failed, or `ENDLESS`, or nothing; and the seconds."""
    options = "-x -q --tb=no -n 0 -p no:cacheprovider -p tests.simulation.bug_plugin --known-bug"
    command = [sys.executable, "-m", "pytest", *options.split(), name, *arguments]
    begin = cpu_time()
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=limit_cpu_time, check=False
    )
    seconds = cpu_time() - begin
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split()[1].partition("::")[0], seconds
    if done.returncode in OVER_LIMIT:
        return ENDLESS, seconds
    if done.returncode not in (0, NO_TESTS):
        raise MeasureError(f"pytest ended with {done.returncode}: {done.stdout}{done.stderr}")
    return "", seconds


def _run_worlds(name: str, seed: int) -> Finding:
    """Runs worlds with the bug until one breaks a promise."""
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    begin = cpu_time()
    process = context.Process(target=_find_breach, args=(name, seed, sending))
    process.start()
    sending.close()
    process.join()
    seconds = cpu_time() - begin
    if process.exitcode in OVER_LIMIT:
        return Finding(ENDLESS, seconds)
    if process.exitcode:
        # The process has printed its traceback.
        raise MeasureError(
            f"the simulation of seed {seed} with the bug {name!r} ended with {process.exitcode}"
        )
    return Finding(receiving.recv(), seconds)


def _find_breach(name: str, seed: int, sending: Connection) -> None:
    limit_cpu_time()
    with installed_bug(name):
        for number in range(MAX_WORLDS):
            result = run_world(f"{seed}-{number}")
            if not result.held:
                breaches = ", ".join(f"`{one}`" for one in sorted(result.breaches))
                worlds = f"{number + 1} world{'s' if number else ''}"
                sending.send(f"{breaches} in {worlds}")
                return
    sending.send("")


#: The suites by name, in the order of the table's columns. Each run is given a bug and a seed, and
#: returns `None` if the suite does not run the code that the bug changes.
RUNS: dict[str, Callable[[str, int], Finding | None]] = {
    "search": _run_searches,
    "model": _run_model,
    "unit": _run_unit_tests,
    "simulation": _run_worlds,
    "chaos": run_chaos,
}
#: The suites that need nothing but Python.
DEFAULT_SUITES = ("search", "model", "unit", "simulation")
