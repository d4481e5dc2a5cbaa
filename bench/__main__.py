"""`make bench`: measure, and print a table, or with --json one JSON object."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from bench.catalogue import GROUPS, POINTS, Group, Points
from bench.figures.lives import warm_up
from bench.ground import Effort, Ground, broker, ground
from bench.load import WrongAnswerError
from bench.machine import described
from bench.report import Figure, as_json, as_row, as_table, figure, skipped
from tests.support.apache_kafka import ApacheKafka

T = TypeVar("T")
_FAILURES = (WrongAnswerError, AssertionError, TimeoutError)


class Bench:
    """Measures groups of figures on one broker, which is warm."""

    def __init__(self, folder: Path, effort: Effort, stack: ExitStack) -> None:
        """`stack` stops the broker, which starts with the first group."""
        self._folder = folder
        self._effort = effort
        self._stack = stack
        self._kafka: ApacheKafka | None = None
        #: Whether something could not be measured, because an answer was wrong or late.
        self.failed = False

    def figures(self, group: Group, wanted: set[str]) -> list[Figure]:
        """The wanted figures of a group, or the reason why the group can't be measured."""
        goals = {name: goal for name, goal in group.goals.items() if name in wanted}
        for needed in group.needs:
            if reason := needed():
                return [skipped(name, goal, reason) for name, goal in goals.items()]
        try:
            series = self._run(next(iter(goals)), group.run)
        except _FAILURES as error:
            reason = self._fail(", ".join(goals), error)
            return [skipped(name, goal, reason) for name, goal in goals.items()]
        return [figure(name, goal, series[name]) for name, goal in goals.items()]

    def points(self, name: str, points: Points) -> list[tuple[float, ...]]:
        """The points of a plot; none if they can't be measured."""
        for needed in points.needs:
            if reason := needed():
                logging.info("%s: %s", name, reason)
                return []
        try:
            return list(self._run(name, points.run))
        except _FAILURES as error:
            self._fail(name, error)
            return []

    def _fail(self, names: str, error: Exception) -> str:
        """Record a failure. The other figures are measured and printed all the same."""
        self.failed = True
        logging.exception("%s can't be measured", names)
        return f"it failed: {type(error).__name__}"

    def _run(self, name: str, measure: Callable[[Ground], Coroutine[Any, Any, T]]) -> T:
        """Measure on a ground of this name."""
        kafka = self._kafka
        if kafka is None:
            kafka = self._kafka = self._stack.enter_context(broker(self._folder))
            logging.info("warming the broker up")
            self._run("warm", warm_up)
        with ground(self._folder / name, kafka, self._effort) as here:
            return asyncio.run(measure(here))


def _arguments() -> argparse.Namespace:
    """The options; `only` is a set of names."""
    names = [name for group in GROUPS for name in group.goals]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, with the points of the plots in docs/performance.md",
    )
    parser.add_argument(
        "--only",
        default="",
        help=f"measure only some of: {', '.join(names)}; and with --json: {', '.join(POINTS)}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds per figure")
    parser.add_argument("--seconds", type=float, default=5, help="seconds of load per round")
    parser.add_argument("--lives", type=int, default=3000, help="whole lives of jobs per round")
    parser.add_argument(
        "--stored", type=int, default=1_000_000, help="stored jobs in the figures about many jobs"
    )
    asked = parser.parse_args()
    if asked.json:
        names += POINTS
    asked.only = {name.strip() for name in asked.only.split(",") if name.strip()} or set(names)
    if unknown := asked.only - set(names):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    return asked


def main() -> int:
    """Measure what the options ask for; the exit code is not 0 after a wrong answer."""
    asked = _arguments()
    effort = Effort(asked.rounds, asked.seconds, asked.lives, asked.stored)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    machine = described(effort)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="fabric-jobs-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), effort, stack)
        for group in GROUPS:
            if asked.only & group.goals.keys():
                logging.info("measuring %s", ", ".join(group.goals))
                measured = bench.figures(group, asked.only)
                # Whoever stops a long run has the rows up to here.
                for one in measured:
                    logging.info("%s", as_row(one))
                figures += measured
        points = {}
        for name, of_plot in POINTS.items():
            if name in asked.only:
                logging.info("measuring %s", name)
                points[name] = bench.points(name, of_plot)
    print(as_json(figures, machine, points) if asked.json else as_table(figures))
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
