"""The metrics of appended events, and the gauges."""

import uuid
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from opentelemetry.metrics import CallbackOptions

from fabric_jobs.contract import events
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade import metrics
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.lifecycle import Command, FailUnstarted, Verdict
from fabric_jobs.facade.log import Log, Record
from fabric_jobs.facade.observability.gauges import Gauges
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.on_behalf_of import Grants
from fabric_jobs.facade.replica import Identity, Replica, Store
from fabric_jobs.facade.roster import Roster
from fabric_jobs.runtime.telemetry.histograms import HistogramValues
from fabric_jobs.runtime.telemetry.metrics import OTHER, BoundedLabel, MetricValues
from tests.support.lifecycle import (
    JOB,
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
from tests.support.records import record_of

JOB_TYPE = request().job_type


@pytest.fixture(autouse=True)
def _reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric starts without values."""
    for name, value in vars(metrics).items():
        if isinstance(value, MetricValues):
            monkeypatch.setattr(metrics, name, MetricValues(value.labels))
        elif isinstance(value, HistogramValues):
            empty = HistogramValues("", value.name, "", value.labels, value.bounds)
            monkeypatch.setattr(metrics, name, empty)
    monkeypatch.setattr(metrics, "job_type_label", BoundedLabel(2))


def read(values: MetricValues) -> dict[tuple[Any, ...], float]:
    """The metric's values, by the values of its labels."""
    found = values.observe(CallbackOptions())
    return {tuple((one.attributes or {}).values()): one.value for one in found}


def measured(values: HistogramValues) -> list[tuple[float, dict[str, str]]]:
    """The sum of the histogram's measurements with each combination of labels."""
    return [(point.sum, point.labels) for point in values.read()]


def append(way: str, command: Command, *, seconds: float = 60) -> events.KnownEvent:
    """Records that the command's event was appended and applied, `seconds` into the test."""
    job = job_in(way)
    event = decide_event(job, command, stamp(seconds=seconds))
    metrics.record_append(command, job, event, Verdict.APPLIED, 0.01)
    return event


def test_record_append_event_applied_is_timed_and_counted_by_its_type() -> None:
    """The job's type is a label too."""
    append("unknown", request())

    assert read(metrics.EVENTS) == {("fabric.jobs.requested", JOB_TYPE): 1}
    assert measured(metrics.APPEND_SECONDS) == [(0.01, {})]


def test_record_append_event_lost_counts_the_race_and_not_the_event() -> None:
    """The facade that appended the winning event counts that one."""
    event = decide_event(None, request(), stamp())
    metrics.record_append(request(), None, event, Verdict.LOST, 0.01)

    assert read(metrics.LOST_RACES) == {(): 1}
    assert read(metrics.EVENTS) == {}


def test_record_append_first_attempt_started_measures_the_time_since_acceptance() -> None:
    """The job was accepted at one second. A later attempt's start is not measured."""
    append("queued", claim(1, "a", "e1"), seconds=31)
    append("queued again", claim(2, "a", "e4"), seconds=60)

    assert measured(metrics.START_SECONDS) == [(30, {"job_type": JOB_TYPE})]


def test_record_append_job_failed_without_a_start_measures_the_time_to_its_failure() -> None:
    """The service level of starts counts it as late. A cancelled or failed run is not measured."""
    append("queued", FailUnstarted(job_id=JOB), seconds=6601)
    append("queued", WAYS["cancelled"][-1])
    append("running", WAYS["failed"][-1])

    assert measured(metrics.START_SECONDS) == [(6600, {"job_type": JOB_TYPE})]


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
def test_record_append_attempt_ended_measures_its_run(
    way: str, command: Command, type_: str
) -> None:
    """The attempt started at two seconds, and may end in any way."""
    append(way, command, seconds=62)

    labels = {"job_type": JOB_TYPE, "type": type_}
    assert measured(metrics.RUN_SECONDS) == [(60, labels)]


@pytest.mark.parametrize("way", ["queued", "waiting"])
def test_record_append_job_ended_without_a_run_measures_no_run(way: str) -> None:
    """An earlier attempt may have run."""
    append(way, WAYS["cancelled"][-1])

    assert measured(metrics.RUN_SECONDS) == []


@pytest.mark.parametrize(
    ("way", "command", "reason", "leases"),
    [
        ("waiting", retry(), "RetryDue", {}),
        ("running", hand_back(), "HandedBack", {}),
        ("running", lose_lease(), "LeaseLost", {(): 1}),
    ],
)
def test_record_append_further_attempt_is_counted_by_its_reason(
    way: str, command: Command, reason: str, leases: dict[tuple[Any, ...], float]
) -> None:
    """A lost lease has a metric of its own too, because it may also end the job."""
    append(way, command)

    assert read(metrics.REDISPATCHES) == {(reason,): 1}
    assert read(metrics.LEASES_LOST) == leases


def gauges(
    *records: events.Event | None,
    lost_records: int = 0,
    grants: Grants | None = None,
    paused: Collection[JobKind] = (),
) -> Gauges:
    """The gauges of a replica that read these records; None stands for a malformed one."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
    replica = Replica(store, 1)
    written = [
        record_of(one, offset) if one else Record(0, offset, 0, b"poison")
        for offset, one in enumerate(records)
    ]
    replica.apply(written, {0: len(written)})
    executors = [SimpleNamespace(heartbeat=SimpleNamespace(free_slots=free)) for free in (3, 4)]
    peers = SimpleNamespace(conflict="")
    clock = Clock()
    clock.follow_wall_clock()
    roster = SimpleNamespace(
        executors=lambda: executors,
        clock=clock,
        peers=peers,
        poison=SimpleNamespace(count=3),
    )
    controls = SimpleNamespace(poison=SimpleNamespace(count=4), paused=paused)
    log = SimpleNamespace(
        lag_s=2.5,
        refused_records=1,
        lost_records=lost_records,
        fault="",
        is_confirmed_within=lambda seconds: seconds >= 2.5,
    )
    return Gauges(
        cast("Log", log),
        cast("Log", SimpleNamespace(refused_records=2)),
        replica,
        cast("Roster", roster),
        cast("Controls", controls),
        ReplicaHealth(cast("Log", log), cast("Roster", roster)),
        lambda: {"grpc": True, "kafka": False},
        lambda: {"FABRIC_JOBS_GRPC_TLS_CERT_FILE": 0.25},
        grants,
    )


def job(job_type: str = JOB_TYPE) -> events.Event:
    """The event of a job that was accepted."""
    job_id = str(uuid.uuid4())
    return decide_event(None, replace(request(job_id), job_type=job_type), stamp(f"of {job_id}"))


async def test_gauges_replica_with_jobs_shows_their_numbers() -> None:
    """Jobs by status, the age of the oldest not started, verdicts, executors and free slots."""
    started = decide_event(drive([request()]), claim(1, "a", "e1"), stamp("e2", 2))
    await gauges(decide_event(None, request(), stamp("e1", 1)), started, job(), None).tick()

    assert read(metrics.UNFINISHED_JOBS) == {("NotStarted",): 1, ("InProgress",): 1}
    assert read(metrics.QUEUED_JOBS) == {(JOB_TYPE,): 1}
    assert read(metrics.OLDEST_NOT_STARTED_SECONDS)[()] > 0
    assert read(metrics.RECORDS) == {
        ("applied",): 3,
        ("lost",): 0,
        ("forked",): 0,
        ("remnant",): 0,
    }
    assert read(metrics.POISON_RECORDS) == {("events",): 1, ("heartbeats",): 3, ("controls",): 4}
    assert read(metrics.REFUSED_RECORDS) == {("events",): 1, ("heartbeats",): 2}
    assert read(metrics.FOLD_LAG_SECONDS) == {(): 2.5}
    assert (read(metrics.EXECUTORS), read(metrics.FREE_SLOTS)) == ({(): 2}, {(): 7})
    assert read(metrics.READY) == {(): 1}
    assert read(metrics.CERTIFICATES_UNUSABLE) == {("grpc",): 1, ("kafka",): 0}
    assert read(metrics.CERTIFICATE_LIFE_LEFT) == {("FABRIC_JOBS_GRPC_TLS_CERT_FILE",): 0.25}


async def test_gauges_with_grants_show_their_skipped_records_too() -> None:
    """A forged grant fires the same alerts as a forged event."""
    grants = SimpleNamespace(poison=SimpleNamespace(count=5), refused_records=6)
    await gauges(grants=cast("Grants", grants)).tick()

    assert read(metrics.POISON_RECORDS)["grants",] == 5
    assert read(metrics.REFUSED_RECORDS)["grants",] == 6


async def test_gauges_acknowledged_record_that_was_lost_is_forked() -> None:
    """The alert on forks names both: events that can't follow, and records that were lost."""
    await gauges(lost_records=1).tick()

    assert read(metrics.RECORDS)["forked",] == 1


async def test_gauges_replica_without_jobs_shows_zeros() -> None:
    """An alert rule can compare a zero, but not a missing value."""
    await gauges().tick()

    assert read(metrics.UNFINISHED_JOBS) == {("NotStarted",): 0, ("InProgress",): 0}
    assert read(metrics.OLDEST_NOT_STARTED_SECONDS) == {(): 0}


async def test_gauges_more_job_types_than_labels_share_the_label_other() -> None:
    """The labels are bounded, because job types come from Fabric's paths."""
    await gauges(job("one"), job("two"), job("three"), job("four")).tick()

    assert read(metrics.QUEUED_JOBS) == {("four",): 1, ("one",): 1, (OTHER,): 2}


async def test_gauges_jobs_of_a_paused_type_are_not_queued() -> None:
    """Executors are scaled by the gauge, and no executor can start these jobs."""
    paused = JobKind(request().item_type, JOB_TYPE)
    await gauges(job(), job("other"), paused=[paused]).tick()

    assert read(metrics.QUEUED_JOBS) == {("other",): 1}
    assert read(metrics.UNFINISHED_JOBS)["NotStarted",] == 2


async def test_gauges_job_type_without_queued_jobs_any_more_shows_zero() -> None:
    """The gauge does not keep the last value."""
    watched = gauges(job())
    await watched.tick()
    watched._replica.reset()
    await watched.tick()

    assert read(metrics.QUEUED_JOBS) == {(JOB_TYPE,): 0}
