"""All figures with their goals and their requirements of the machine."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple

from bench import load
from bench.figures import bootstrap, curve, http, latency, lives, mixed, processes, stored
from bench.ground import Ground
from bench.peers.peer import (
    CELERY,
    DBOS,
    IN_PROCESS,
    PROCRASTINATE,
    RIVER,
    SAQ,
    TEMPORAL,
    Peer,
)
from bench.report import Goal, Series
from tests.support import apache_kafka

Need = Callable[[], str | None]


NEEDS: tuple[Need, ...] = (apache_kafka.why_unavailable, load.why_unavailable)


class Group(NamedTuple):
    """Figures that are measured together on their own ground."""

    goals: dict[str, Goal | None]
    run: Callable[[Ground], Coroutine[Any, Any, dict[str, Series]]]
    #: Functions that return what the machine lacks, or None.
    needs: tuple[Need, ...] = NEEDS


class Points(NamedTuple):
    """The points of a plot in docs/performance.md."""

    run: Callable[[Ground], Coroutine[Any, Any, Sequence[tuple[float, ...]]]]
    needs: tuple[Need, ...] = NEEDS


def at_least(value: float) -> Goal:
    """A goal where more is better."""
    return Goal(value, at_least=True)


def at_most(value: float) -> Goal:
    """A goal where less is better."""
    return Goal(value, at_least=False)


def against(peer: Peer, **goals: Goal | None) -> Group:
    """The figures of whole lives per second and their CPU, compared with a peer."""
    return Group(goals, partial(lives.versus, peer=peer), (*NEEDS, peer.why_unavailable))


GROUPS = (
    Group({"accept_vs_floor": at_least(0.8), "accept_vs_bare": None}, http.accepts),
    Group({"accept_p50_hops": at_most(1)}, latency.accept_p50_hops),
    Group({"poll_vs_empty": at_least(0.85)}, http.poll_vs_empty),
    Group(
        {"poll_running_vs_empty": at_least(0.6), "poll_ended_vs_empty": at_least(0.8)},
        http.poll_held_vs_empty,
    ),
    Group({"start_latency_hops": at_most(2.7)}, latency.start_latency_hops),
    Group({"start_latency_tail": at_most(4)}, latency.start_latency_tail),
    Group({"cancel_latency_hops": at_most(1.4)}, latency.cancel_latency_hops),
    Group({"mixed_start_tail": at_most(10), "idle_slot_share": at_most(0.01)}, mixed.one_executor),
    Group(
        {
            "mixed_start_tail_2_executors": at_most(10),
            "idle_slot_share_2_executors": at_most(0.01),
        },
        mixed.two_executors,
    ),
    Group(
        {
            "replay_vs_raw": at_least(0.35),
            "million_jobs_mb": at_most(50),
            "restart_growth": at_most(1.5),
            "accept_at_million": at_least(0.95),
            "bootstrap_vs_copy": at_most(3),
            "bootstrap_vs_replay": at_most(0.15),
        },
        stored.stored,
    ),
    Group(
        {"process_speedup": at_most(2.2), "process_start_ms": at_most(10)},
        processes.processes,
    ),
    Group({"scale_out_cost": at_most(1.15)}, lives.scale_out_cost),
    Group({"sealed_lives": at_least(0.9)}, lives.sealed_lives),
    against(SAQ, lives_vs_saq=at_least(1.6), cpu_vs_saq=at_most(0.65)),
    against(CELERY, lives_vs_celery=at_least(5), cpu_vs_celery=None),
    against(PROCRASTINATE, lives_vs_procrastinate=at_least(5), cpu_vs_procrastinate=None),
    against(RIVER, lives_vs_river=at_least(1.5), cpu_vs_river=None),
    against(DBOS, lives_vs_dbos=at_least(4), cpu_vs_dbos=None),
    against(TEMPORAL, lives_vs_temporal=None, cpu_vs_temporal=None),
    # This peer stores nothing, so that the ratio is the price of storing.
    against(IN_PROCESS, lives_vs_in_process=None, cpu_vs_in_process=None),
)

#: The points of the plots, by their key in the bench's JSON.
POINTS = {
    "load_latency": Points(curve.load_latency),
    "bootstrap_by_jobs": Points(bootstrap.by_jobs),
}
