"""What a facade counts of the events that it appended, and what its gauges show."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from opentelemetry.metrics import CallbackOptions

from fabric_jobs.contract import events
from fabric_jobs.facade import metrics
from fabric_jobs.facade.lifecycle import Command, Verdict
from fabric_jobs.facade.log import Log, Record
from fabric_jobs.facade.observability.gauges import Gauges
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Identity, Replica, Store
from fabric_jobs.facade.roster import Roster
from fabric_jobs.runtime.telemetry.metrics import OTHER, Bounded, Values
from tests.support.lifecycle import (
    WAYS,
    claim,
    decide_event,
    drive,
    hand_back,
    job_in,
    lose_lease,
    request,
    retry,
    stamp,
)

JOB_TYPE = request().job_type


class Recorder:
    """A histogram that remembers."""

    def __init__(self) -> None:
        self.recorded: list[tuple[float, dict[str, str]]] = []

    def record(self, number: float, labels: dict[str, str] | None = None) -> None:
        """One measurement."""
        self.recorded.append((number, labels or {}))


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was counted before."""
    for name, value in vars(metrics).items():
        if isinstance(value, Values):
            monkeypatch.setattr(metrics, name, Values(value.labels))
        elif name.endswith("_SECONDS"):
            monkeypatch.setattr(metrics, name, Recorder())
    monkeypatch.setattr(metrics, "job_type_label", Bounded(2))


def told(values: Values) -> dict[tuple[Any, ...], float]:
    """The values, by those of their labels."""
    found = values.observe(CallbackOptions())
    return {tuple((one.attributes or {}).values()): one.value for one in found}


def append(way: str, command: Command, *, seconds: float = 60) -> events.KnownEvent:
    """The command's event is appended, and applies, so many seconds into the test."""
    job = job_in(way)
    event = decide_event(job, command, stamp(seconds=seconds))
    metrics.appended(command, job, event, Verdict.APPLIED, 0.01)
    return event


def test_each_append_is_timed_and_counted_by_its_type() -> None:
    """With the job's type."""
    append("unknown", request())

    assert told(metrics.EVENTS) == {("fabric.jobs.requested", JOB_TYPE): 1}
    assert metrics.APPEND_SECONDS.recorded == [(0.01, {})]  # type: ignore[attr-defined]


def test_a_lost_race_is_counted_and_its_event_is_not() -> None:
    """The event that came first is counted where it was appended."""
    event = decide_event(None, request(), stamp())
    metrics.appended(request(), None, event, Verdict.LOST, 0.01)

    assert told(metrics.LOST_RACES) == {(): 1}
    assert told(metrics.EVENTS) == {}


def test_the_time_to_start_is_that_of_the_first_attempt() -> None:
    """From the acceptance, which was at one second; a later attempt's start is none."""
    append("queued", claim(1, "a", "e1"), seconds=31)
    append("queued again", claim(2, "a", "e4"), seconds=60)

    assert metrics.START_SECONDS.recorded == [(30, {"job_type": JOB_TYPE})]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("way", "command", "type_"),
    [
        ("running", WAYS["completed"][-1], "fabric.jobs.completed"),
        ("running", WAYS["waiting"][-1], "fabric.jobs.attempt-failed"),
        ("running", WAYS["failed"][-1], "fabric.jobs.failed"),
        ("stopping", WAYS["stopped"][-1], "fabric.jobs.cancelled"),
        ("running", hand_back(), "fabric.jobs.requeued"),
        ("running", lose_lease(), "fabric.jobs.requeued"),
    ],
)
def test_the_run_time_is_that_of_an_attempt_however_it_ended(
    way: str, command: Command, type_: str
) -> None:
    """It started at two seconds."""
    append(way, command, seconds=62)

    labels = {"job_type": JOB_TYPE, "type": type_}
    assert metrics.RUN_SECONDS.recorded == [(60, labels)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["queued", "waiting"])
def test_a_job_that_ends_while_nothing_runs_has_no_run_time(way: str) -> None:
    """Also where an earlier attempt ran."""
    append(way, WAYS["cancelled"][-1])

    assert metrics.RUN_SECONDS.recorded == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("way", "command", "reason", "leases"),
    [
        ("waiting", retry(), "RetryDue", {}),
        ("running", hand_back(), "HandedBack", {}),
        ("running", lose_lease(), "LeaseLost", {(): 1}),
    ],
)
def test_a_further_attempt_is_counted_by_its_reason(
    way: str, command: Command, reason: str, leases: dict[tuple[Any, ...], float]
) -> None:
    """A lost lease is counted apart, for it may also end the job."""
    append(way, command)

    assert told(metrics.REDISPATCHES) == {(reason,): 1}
    assert told(metrics.LEASES_LOST) == leases


def gauges(*records: events.Event | None) -> Gauges:
    """Of a replica that read these records."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
    replica = Replica(store)
    written = [events.encode(one) if one else b"poison" for one in records]
    replica.apply([Record(0, n, 0, value) for n, value in enumerate(written)], {0: len(written)})
    executors = [SimpleNamespace(heartbeat=SimpleNamespace(free_slots=free)) for free in (3, 4)]
    roster = SimpleNamespace(executors=lambda: executors, clock_is_right=True)
    log = SimpleNamespace(lag_s=2.5)
    return Gauges(
        cast("Log", log),
        replica,
        cast("Roster", roster),
        ReplicaHealth(cast("Log", log), cast("Roster", roster)),
    )


def job(job_id: str, job_type: str = JOB_TYPE) -> events.Event:
    """A job that was accepted."""
    return decide_event(None, replace(request(job_id), job_type=job_type), stamp(f"of {job_id}"))


async def test_gauges_show_what_the_replica_holds() -> None:
    """Jobs by status, the age of the oldest not started, verdicts, and who is there."""
    started = decide_event(drive([request()]), claim(1, "a", "e1"), stamp("e2", 2))
    await gauges(decide_event(None, request(), stamp("e1", 1)), started, job("b"), None).tick()

    assert told(metrics.UNFINISHED_JOBS) == {("NotStarted",): 1, ("InProgress",): 1}
    assert told(metrics.QUEUED_JOBS) == {(JOB_TYPE,): 1}
    assert told(metrics.OLDEST_NOT_STARTED_SECONDS)[()] > 0
    assert told(metrics.RECORDS) == {
        ("applied",): 3,
        ("lost",): 0,
        ("forked",): 0,
        ("poison",): 1,
        ("remnant",): 0,
    }
    assert told(metrics.FOLD_LAG_SECONDS) == {(): 2.5}
    assert (told(metrics.EXECUTORS), told(metrics.FREE_SLOTS)) == ({(): 2}, {(): 7})
    assert told(metrics.READY) == {(): 1}


async def test_a_replica_without_jobs_shows_zeros() -> None:
    """So that a rule can compare."""
    await gauges().tick()

    assert told(metrics.UNFINISHED_JOBS) == {("NotStarted",): 0, ("InProgress",): 0}
    assert told(metrics.OLDEST_NOT_STARTED_SECONDS) == {(): 0}


async def test_queued_jobs_of_many_types_are_added_up() -> None:
    """Labels are bounded, whatever Fabric's paths say."""
    await gauges(job("a", "one"), job("b", "two"), job("c", "three"), job("d", "four")).tick()

    assert told(metrics.QUEUED_JOBS) == {("four",): 1, ("one",): 1, (OTHER,): 2}


async def test_a_type_of_which_none_waits_any_more_shows_zero() -> None:
    """It would else stay what it was."""
    watched = gauges(job("a"))
    await watched.tick()
    watched._replica.reset()
    await watched.tick()

    assert told(metrics.QUEUED_JOBS) == {(JOB_TYPE,): 0}
