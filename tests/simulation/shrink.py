"""Shrinks a failing world: fewer jobs and fewer faults that still break the same promise."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tests.simulation.faults import Fault, make_script
from tests.simulation.run import FAULT_RATE_PER_S, run_world
from tests.simulation.world import Shape

T = TypeVar("T")


class Shrunk(NamedTuple):
    """A smaller world that fails too."""

    jobs: Sequence[int]
    script: Sequence[Fault]


def shrink(seed: str, breaches: set[str], within_s: float) -> Shrunk:
    """Returns the smallest world that was found in so many seconds of real time."""
    shape, until = Shape.of(seed), time.monotonic() + within_s

    def fails(jobs: Sequence[int], script: Sequence[Fault]) -> bool:
        result = run_world(seed, shape=shape, script=script, jobs=jobs)
        return bool(breaches & result.breaches.keys())

    jobs: Sequence[int] = range(shape.jobs)
    script: Sequence[Fault] = make_script(seed, shape.seconds, FAULT_RATE_PER_S)
    script = _smaller(script, lambda some: fails(jobs, some), until)
    jobs = _smaller(jobs, lambda some: fails(some, script), until)
    script = _smaller(script, lambda some: fails(jobs, some), until)
    return Shrunk(jobs, script)


def _smaller(items: Sequence[T], fails: Callable[[Sequence[T]], bool], until: float) -> Sequence[T]:
    """Removes parts, first large and then small ones, while the rest still fails."""
    items, size = list(items), max(1, len(items) // 2)
    while time.monotonic() < until:
        start, removed = 0, False
        while start < len(items) and time.monotonic() < until:
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items, removed = rest, True
            else:
                start += size
        if size == 1 and not removed:
            return items
        size = size if removed and size == 1 else max(1, size // 2)
    return items
