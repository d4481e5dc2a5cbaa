"""Any event that decodes can be folded, stored, read back, decided on and shown, on every surface.

The events come from the types themselves, so a new field is covered when it is declared.
"""

import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from rich.console import Console

from fabric_jobs.cli.output.events import events_table
from fabric_jobs.cli.output.executors import executors_table
from fabric_jobs.cli.output.jobs import job_table, jobs_table
from fabric_jobs.cli.output.json_lines import event_json, job_json
from fabric_jobs.contract import events, heartbeats
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.events import Event, decode, encode
from fabric_jobs.contract.failures import MAX_LONGEST_LIFE
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind
from fabric_jobs.contract.jobs import Policy, Progress
from fabric_jobs.executor.dispatch.dispatches import attempt_from_event
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.http.answers import state_response
from fabric_jobs.facade.lifecycle import Command, Job, Stamp, decide, fold, next_deadline
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.monitor.job_page import StateView, TimelineView
from fabric_jobs.facade.monitor.links import Links
from fabric_jobs.facade.monitor.render import Renderer
from fabric_jobs.facade.monitor.timeline import Timeline, row_of
from fabric_jobs.facade.replica import Change, Filter, Identity, Replica, Store
from fabric_jobs.facade.roster import LastHeartbeat, Roster
from fabric_jobs.facade.rpc.convert import change_to_proto, executor_to_proto, job_to_proto
from fabric_jobs.facade.sealing import SealedError
from fabric_jobs.runtime.kafka.history import HistoryEvent
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.records import records_of
from tests.support.sealing import sealing
from tests.support.strategies import PAYLOADS, examples, json_of

KINDS = [*events.KnownEvent.__args__, events.UnknownEvent]
ANY_EVENT = st.one_of([json_of(kind) for kind in KINDS])
STAMP = Stamp(event_id="next", source="/test", time=datetime(2026, 1, 1, tzinfo=UTC))


def chain(drawn: Sequence[Any], payload: Any) -> list[bytes]:
    """Returns records of one job: of the drawn events, each follows the one before."""
    previous = None
    records = []
    for number, event in enumerate(drawn, 1):
        data = event["data"] | {"sequence": number, "follows": previous}
        if number < len(drawn) and data["state"]["phase"] == "Ended":
            data["state"] = data["state"] | {"phase": "Running"}
        if number == 1:
            data["dispatch"] = {"payload": payload}
        previous = f"{number} {event['id']}"[:128]
        records.append(
            json.dumps(
                event | {"id": previous, "subject": drawn[0]["subject"], "data": data}
            ).encode()
        )
    return records


CHAINS = st.builds(chain, st.lists(ANY_EVENT, min_size=1, max_size=4), PAYLOADS)


@contextmanager
def open_replica(path: Path | None) -> Iterator[tuple[Replica, Store]]:
    """Opens a replica with a file, or in memory."""
    store = Store(path)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
    try:
        yield Replica(store, 1), store
    finally:
        store.close()


@given(CHAINS)
@examples(40)
def test_any_event_is_folded_stored_listed_and_read_back(values: list[bytes]) -> None:
    """A replica that starts with the file has the same jobs."""
    records = records_of(values)
    job_id = decode(values[0]).subject
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        with open_replica(path) as (replica, _):
            replica.apply(records, {0: len(records)})
            assert replica.poison.count == 0
            assert replica.counts["applied"]
            stored = replica.get(job_id)
            now = datetime(2200, 1, 1, tzinfo=UTC)
            replica.due_jobs(now, 10)
            replica.held_runs()
        with open_replica(path) as (replica, store):
            assert replica.get(job_id) == stored
            assert store.list(Filter(), 10).result() == [stored]
            store.backlog().result()
            assert stored
            state = stored.job.state
            replica.queued_jobs([JobKind(state.item_type, state.job_type)], now, timedelta(), 10)
            replica.due_jobs(now, 10)
            replica.held_runs()


def commands_on(job: Job) -> list[Command]:
    """Returns a command of each kind, which fits the job's state.

    The kinds are the members of `Command`, so a new one is covered when it is declared.
    """
    state = job.state
    values: dict[str, Any] = {
        name: getattr(state, name, None)
        for name in ("tenant_id", "workspace_id", "item_type", "item_id", "job_type", "invoke_type")
    } | {
        "job_id": job.job_id,
        "attempt": state.attempt,
        "executor_id": state.executor_id or "a",
        "dispatch_id": job.dispatch_id,
        "policy": Policy(),
        "progress": Progress(0.5),
        "checkpoint": b'{"page": 1}',
        "error": ErrorResponse(error_code="E", message="m", source=ErrorSource.USER),
        "request_hash": "hash",
    }
    kinds: tuple[Any, ...] = get_args(Command)
    return [
        kind(**{field.name: values[field.name] for field in fields(kind) if field.required})
        for kind in kinds
    ]


@given(CHAINS)
@examples(100)
def test_any_event_can_be_decided_on_and_the_decision_is_an_event(values: list[bytes]) -> None:
    """What a facade writes after it, every facade can fold."""
    job = None
    for value in values:
        _, job = fold(job, decode(value))
    assert job
    next_deadline(job, MAX_LONGEST_LIFE)
    for command in commands_on(job):
        decision = decide(job, command, STAMP)
        if isinstance(decision, events.KnownEvent):
            _, after = fold(job, decode(encode(decision)))
            assert after
            assert after.sequence == job.sequence + 1


def in_record(event: Event, value: bytes) -> HistoryEvent:
    """Returns the event as it is read from the topic."""
    key = event.subject.encode()
    record: Any = ConsumerRecord("t", 0, 0, 0, 1, key, value, None, 0, 0, ())
    return HistoryEvent(record, event, applied=True)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    """Returns the monitor's templates, with links to traces."""
    return Renderer(
        Links("https://traces.test/{trace_id}", "https://logs.test/{job_id}/{start}/{end_ms}")
    )


def test_any_event_is_shown_on_every_surface(renderer: Renderer) -> None:
    """HTTP, gRPC, the job monitor, the command, and the executor's intake."""

    @given(CHAINS)
    @examples(30)
    def show(values: list[bytes]) -> None:
        secrets = sealing()
        timeline = Timeline()
        history = []
        with open_replica(None) as (replica, _):
            changes: list[Change] = []
            replica.listeners.add(changes.append)
            records = records_of(values)
            replica.apply(records, {0: len(records)})
        for change in changes:
            value = encode(change.event)
            timeline.add(row_of(secrets.reveal_event(change.event)))
            history.append(in_record(change.event, value))
            watched = change_to_proto(change, secrets.reveal(change.stored.job))
            pb.WatchJobsResponse.FromString(watched.SerializeToString())
            attempt_from_event(change.event, 0, 0)
            event_json(history[-1])
        revealed = secrets.reveal(changes[-1].stored.job)
        job = revealed.job
        state_response(job)
        msgspec.json.decode(state_response(job).body)
        renderer.render_part("state", StateView(job, "", None, None))
        renderer.render_part("timeline", TimelineView(timeline.rows, "", job.job_id))
        got = pb.GetJobResponse(job=job_to_proto(revealed))
        with suppress(SealedError):
            got.payload = secrets.content(job).payload
        print_all(events_table(history), jobs_table([got.job]), job_table(got))
        job_json(got)

    show()


def print_all(*tables: Any) -> None:
    """Renders the tables as on a terminal."""
    console = Console(width=200, file=io.StringIO())
    for table in tables:
        console.print(table)


@given(json_of(ExecutorHeartbeat), json_of(heartbeats.FacadeHeartbeat))
@examples(60)
def test_any_heartbeat_is_read_and_shown(executor: Any, facade: Any) -> None:
    """By the roster, gRPC and the command."""
    roster = Roster(None, Clock(), "me", 30.0, 86_400, record_time=False)  # type: ignore[arg-type]
    values = [json.dumps(one).encode() for one in (executor, facade)]
    assert all(map(heartbeats.decode, values))
    roster.apply([Record(0, offset, 0, value) for offset, value in enumerate(values)], {})
    roster.peers.rank()
    assert roster.peers.longest_life_s >= 0
    roster.forget_silent()
    (last,) = roster.executors()
    assert isinstance(last, LastHeartbeat)
    print_all(executors_table([executor_to_proto(last)]))
