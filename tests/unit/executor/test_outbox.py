"""The entries that are not answered."""

import asyncio

import pytest

from fabric_jobs.executor import outbox as outbox_module
from fabric_jobs.executor.outbox import Outbox
from fabric_jobs.status.v1 import job_status_pb2 as pb


async def test_the_oldest_entry_s_wait_is_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the answer, or the asking; a new stream has all of its time for each."""
    now = 100.0
    monkeypatch.setattr(outbox_module, "_now", lambda: now)
    outbox = Outbox()
    assert outbox.waited_s() == 0
    asking = []
    for _ in range(3):
        asking.append(asyncio.create_task(outbox.ask(pb.Claim())))
        await asyncio.sleep(0)
        now += 1

    waits = [outbox.waited_s()]
    outbox.answer(pb.Answer(entry_id=1))
    await asking[0]
    waits.append(outbox.waited_s())
    asking[1].cancel()
    await asyncio.wait({asking[1]})
    waits.append(outbox.waited_s())
    outbox.reopen()
    waits.append(outbox.waited_s())
    now += 1
    waits.append(outbox.waited_s())
    outbox.answer(pb.Answer(entry_id=3))
    await asking[2]
    waits.append(outbox.waited_s())

    assert waits == [3, 2, 1, 0, 1, 0]
