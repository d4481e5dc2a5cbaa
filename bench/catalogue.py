"""Every figure, its goal, and what it needs of the machine."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench import load
from bench.figures import http, latency
from bench.ground import Ground
from bench.report import Goal, Series
from tests import apache_kafka

Need = Callable[[], str | None]


class Group(NamedTuple):
    """Figures that are measured together, on a ground of their own."""

    goals: dict[str, Goal]
    run: Callable[[Ground], Awaitable[dict[str, Series]]]
    #: Each says what is missing on this machine, if anything is.
    needs: tuple[Need, ...] = (apache_kafka.why_unavailable, load.why_unavailable)


def at_least(value: float) -> Goal:
    """More is better."""
    return Goal(value, at_least=True)


def at_most(value: float) -> Goal:
    """Less is better."""
    return Goal(value, at_least=False)


GROUPS = (
    Group({"accept_vs_bare": at_least(0.7)}, http.accept_vs_bare),
    Group({"poll_vs_empty": at_least(0.8)}, http.poll_vs_empty),
    Group({"start_latency_hops": at_most(3)}, latency.start_latency_hops),
    Group({"start_latency_tail": at_most(5)}, latency.start_latency_tail),
    Group({"cancel_latency_hops": at_most(2.5)}, latency.cancel_latency_hops),
)
