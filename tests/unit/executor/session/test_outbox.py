"""The unanswered entries of a session."""

import asyncio

import pytest

from fabric_jobs.executor.session import outbox as outbox_module
from fabric_jobs.executor.session.outbox import Outbox
from fabric_jobs.status.v1 import job_status_pb2 as pb


async def test_longest_wait_is_that_of_the_oldest_unanswered_entry_on_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry stops waiting when it is answered or withdrawn. A new stream restarts all waits."""
    now = 100.0
    monkeypatch.setattr(outbox_module, "_now", lambda: now)
    outbox = Outbox()
    assert outbox.longest_wait_s() == 0
    tasks = []
    for _ in range(3):
        tasks.append(asyncio.create_task(outbox.ask(pb.Claim())))
        await asyncio.sleep(0)
        now += 1

    waits = [outbox.longest_wait_s()]
    outbox.resolve(pb.Answer(entry_id=1))
    await tasks[0]
    waits.append(outbox.longest_wait_s())
    tasks[1].cancel()
    await asyncio.wait({tasks[1]})
    waits.append(outbox.longest_wait_s())
    outbox.resend_all()
    waits.append(outbox.longest_wait_s())
    now += 1
    waits.append(outbox.longest_wait_s())
    outbox.resolve(pb.Answer(entry_id=3))
    await tasks[2]
    waits.append(outbox.longest_wait_s())

    assert waits == [3, 2, 1, 0, 1, 0]


async def test_entries_of_more_than_one_message_are_all_due_on_a_new_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them waits for the next heartbeat. The oldest comes first."""
    monkeypatch.setattr(outbox_module, "TARGET_MESSAGE_BYTES", 1)
    outbox = Outbox()
    tasks = [asyncio.create_task(outbox.ask(pb.Claim())) for _ in range(3)]
    await asyncio.sleep(0)

    def send_all() -> list[int]:
        sent = []
        while outbox.has_entries.is_set():
            sent += [claim.entry_id for claim in outbox.next_message().claims]
        return sent

    assert send_all() == [1, 2, 3]
    assert send_all() == []
    outbox.resend_all()
    assert send_all() == [1, 2, 3]
    for task in tasks:
        task.cancel()
