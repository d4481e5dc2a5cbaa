"""Checkpoints of handlers: their values, how they are sent, and what the next attempt gets."""

import threading
from typing import Any

import msgspec
import pytest

from fabric_jobs.contract.events import decode
from fabric_jobs.executor import CheckpointError, Executor, Job, Retry
from fabric_jobs.executor.dispatch.dispatches import attempt_from_event, attempt_from_offer
from fabric_jobs.executor.testing import run_job
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.golden import golden
from tests.support.jobs import make_job


class Place(msgspec.Struct):
    """Where a handler stopped."""

    row: int


executor = Executor()


@executor.job("Item", "def", retry=Retry(max_attempts=3))
def resume(job: Job[Any]) -> None:
    """Begins at the saved row, and fails in its first two attempts."""
    begun = job.checkpoint(Place)
    rows = begun.row if begun else 0
    seen.append(rows)
    job.save_checkpoint(Place(rows + 3))
    if job.attempt < 3:
        raise RuntimeError("again")


@executor.job("Item", "async", retry=Retry(max_attempts=2))
async def resume_in_loop(job: Job[Any]) -> None:
    """Saves many values, of which the next attempt gets the last."""
    seen.append(job.checkpoint(int) or 0)
    for row in range(1, 1000):
        await job.save_checkpoint(row)
    if job.attempt == 1:
        raise RuntimeError("again")


seen: list[int] = []


def test_run_job_gives_each_attempt_the_last_checkpoint_of_the_one_before() -> None:
    """A `def` handler saves without awaiting."""
    seen.clear()
    assert run_job(executor, "Item", "def").status == "Completed"
    assert seen == [0, 3, 6]


def test_run_job_sends_the_last_of_many_checkpoints_before_the_failure() -> None:
    """At most one a second is sent, and the last one always."""
    seen.clear()
    assert run_job(executor, "Item", "async").attempts == 2
    assert seen == [0, 999]


def test_run_job_with_a_checkpoint_begins_there() -> None:
    """A test need not run a first attempt that fails."""
    seen.clear()
    run_job(executor, "Item", "async", checkpoint=41)
    assert seen[0] == 41


def test_save_checkpoint_of_a_value_that_is_too_large_raises_with_the_size() -> None:
    """The handler may catch the error; the saved checkpoint stays."""
    saved: list[bytes] = []
    with pytest.raises(CheckpointError, match=r"16,385 bytes of JSON; at most 16,384"):
        make_job(_save_checkpoint=saved.append).save_checkpoint("x" * 16_383)
    assert saved == []


@pytest.mark.parametrize("value", [threading.Lock(), object(), {(1, 2): 3}, "\ud800"])
def test_save_checkpoint_of_a_value_that_is_no_json_raises(value: object) -> None:
    """Also for a text that UTF-8 can't encode."""
    with pytest.raises(CheckpointError, match="can't be saved"):
        make_job().save_checkpoint(value)


def test_checkpoint_that_is_not_of_the_type_raises_with_the_place() -> None:
    """An older version of the handler may have saved another type."""
    with pytest.raises(CheckpointError, match=r"Expected `int`, got `str` - at `\$.row`"):
        make_job(_checkpoint=b'{"row":"7"}').checkpoint(Place)


def test_checkpoint_that_is_null_is_none_for_every_type() -> None:
    """A handler saves `None` to drop its checkpoint."""
    saved: list[bytes] = []
    make_job(_save_checkpoint=saved.append).save_checkpoint(None)

    assert make_job(_checkpoint=saved[0]).checkpoint(Place) is None


def test_attempt_from_event_and_from_offer_has_the_checkpoint_of_the_dispatch() -> None:
    """Without a checkpoint it is `None`."""
    with_one = attempt_from_event(decode(golden("requeued")), 0, 0)
    without_one = attempt_from_event(decode(golden("requested")), 0, 0)
    assert with_one is not None
    assert without_one is not None
    assert (with_one.checkpoint, without_one.checkpoint) == (b'{"row":7}', None)
    assert attempt_from_offer(pb.Offer(checkpoint=b"7")).checkpoint == b"7"
    assert attempt_from_offer(pb.Offer()).checkpoint is None
