"""Any control or grant that decodes can be read by a facade, and shown or deleted.

They come from the types themselves, so a new field is covered when it is declared.
"""

import asyncio
import io
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from msgspec.structs import replace
from rich.console import Console

from fabric_jobs.cli.output.job_types import job_types_table
from fabric_jobs.contract import controls, grants
from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.grants import Grant
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.controls import JobTypeState, start_hint
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.rpc.convert import job_type_to_proto
from fabric_jobs.facade.sealing import SealedError
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import MemoryLog, open_controls
from tests.support.grants import final, job_with_grant, new_ring, open_grants
from tests.support.lifecycle import WAYS, drive
from tests.support.strategies import examples, json_of


@given(json_of(JobTypeControl))
@examples(60)
def test_any_control_is_read_and_shown(value: Any) -> None:
    """By the controls, the hint of a waiting job, gRPC and the command."""
    kind = JobKind(*value["kind"])
    log = MemoryLog()
    log.records.append(Record(0, 0, 0, json.dumps(value).encode(), controls.key_of(kind)))
    read = open_controls(log)
    assert read.poison.count == 0
    assert (kind in read.paused) is value["paused"]
    queued = drive(WAYS["queued"])
    state = replace(queued.state, item_type=kind.item_type, job_type=kind.job_type)
    assert start_hint(replace(queued, state=state), frozenset(), read.paused)
    listed = JobTypeState(kind, 0, 1, 0, datetime(2026, 1, 1, tzinfo=UTC), read.paused.get(kind))
    message = pb.JobTypeState.FromString(job_type_to_proto(listed).SerializeToString())
    Console(width=200, file=io.StringIO()).print(job_types_table([message]))


@given(json_of(Grant))
@examples(60)
def test_any_grant_is_read_and_forgotten_with_its_job(value: Any) -> None:
    """A facade that can't open its secret says so, and no other error is raised."""
    key, data = value["grantId"].encode(), json.dumps(value).encode()
    grant = grants.decode_record(key, data)
    assert grant
    assert grants.decode_record(key, grants.encode(grant)) == grant
    log = MemoryLog()
    log.records.append(Record(0, 0, 0, data, key))
    read = open_grants(log, new_ring("key"))
    job = job_with_grant(grant.grant_id, grant.job_id)
    assert read.poison.count == 0
    with suppress(SealedError):
        assert asyncio.run(read.refresh_token(job)) is None
    read.on_change(final(job))
    assert asyncio.run(read.refresh_token(job)) is None
