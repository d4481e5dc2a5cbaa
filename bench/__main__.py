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

from bench.catalogue import GROUPS, Group
from bench.figures.curve import load_latency
from bench.figures.lives import warm_up
from bench.ground import Effort, Ground, broker, ground
from bench.load import WrongAnswerError
from bench.machine import described
from bench.report import Figure, as_json, as_table, figure, skipped
from tests.support.apache_kafka import ApacheKafka

T = TypeVar("T")


class Bench:
    """Measures groups of figures on one broker, which is warm."""

    def __init__(self, folder: Path, effort: Effort, stack: ExitStack) -> None:
        """`stack` stops the broker, which starts with the first group."""
        self._folder = folder
        self._effort = effort
        self._stack = stack
        self._kafka: ApacheKafka | None = None

    def measure(self, group: Group, wanted: set[str]) -> list[Figure]:
        """The wanted figures of a group, or the reason why the group can't be measured."""
        goals = {name: goal for name, goal in group.goals.items() if name in wanted}
        for needed in group.needs:
            if reason := needed():
                return [skipped(name, goal, reason) for name, goal in goals.items()]
        series = self.run(next(iter(goals)), group.run)
        return [figure(name, goal, series[name]) for name, goal in goals.items()]

    def run(self, name: str, measure: Callable[[Ground], Coroutine[Any, Any, T]]) -> T:
        """Measure on a ground of this name."""
        kafka = self._kafka
        if kafka is None:
            kafka = self._kafka = self._stack.enter_context(broker(self._folder))
            logging.info("warming the broker up")
            self.run("warm", warm_up)
        with ground(self._folder / name, kafka, self._effort) as here:
            return asyncio.run(measure(here))


def main() -> int:
    """Measure what the options ask for; the exit code is not 0 after a wrong answer."""
    names = [name for group in GROUPS for name in group.goals]
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--only", default="", help=f"measure only some of: {', '.join(names)}")
    arguments.add_argument("--rounds", type=int, default=5, help="rounds per figure")
    arguments.add_argument("--seconds", type=float, default=5, help="seconds of load per round")
    arguments.add_argument("--lives", type=int, default=3000, help="whole lives of jobs per round")
    arguments.add_argument(
        "--stored", type=int, default=1_000_000, help="stored jobs in the figures about many jobs"
    )
    arguments.add_argument(
        "--curve", action="store_true", help="measure latency by load; needs --json"
    )
    asked = arguments.parse_args()
    wanted = {name.strip() for name in asked.only.split(",") if name.strip()} or set(names)
    if unknown := wanted - set(names):
        arguments.error(f"no such figure: {', '.join(sorted(unknown))}")
    effort = Effort(asked.rounds, asked.seconds, asked.lives, asked.stored)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    figures: list[Figure] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="fabric-jobs-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), effort, stack)
        for group in GROUPS:
            if wanted & group.goals.keys():
                logging.info("measuring %s", ", ".join(group.goals))
                try:
                    figures += bench.measure(group, wanted)
                except (WrongAnswerError, AssertionError, TimeoutError) as error:
                    # The other figures are printed all the same.
                    failed = True
                    logging.exception("%s can't be measured", ", ".join(group.goals))
                    figures += [
                        skipped(name, goal, f"it failed: {type(error).__name__}")
                        for name, goal in group.goals.items()
                        if name in wanted
                    ]
        points = None
        if asked.json and asked.curve:
            points = bench.run("curve", load_latency)
    print(as_json(figures, described(), points) if asked.json else as_table(figures))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
