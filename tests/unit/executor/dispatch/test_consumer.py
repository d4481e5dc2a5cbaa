"""The consumer of a pool, and two executors under one static name, of which one ends."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, for_code

from fabric_jobs.executor.dispatch import consumer
from fabric_jobs.executor.dispatch.consumer import ID_CHANGES_S, Assignor, NameGuard
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError

SETTING = "FABRIC_JOBS_EXECUTOR_NAME"
#: Of the eight possible numbers of changes, the most.
MOST_CHANGES = 3 + 2 * 7


class Clock:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of name guards."""
    clock = Clock()
    monkeypatch.setattr(consumer, "time", clock)
    return clock


def join(guard: NameGuard, member_id: str) -> None:
    """Notes a join under this member id."""
    member: Any = SimpleNamespace(_coordinator=SimpleNamespace(member_id=member_id))
    guard.note(member)


async def is_taken(guard: NameGuard) -> bool:
    """Whether the guard has found that the name is taken."""
    waiting = asyncio.create_task(guard.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    if not done:
        waiting.cancel()
        return False
    with pytest.raises(KafkaRefusedError, match=SETTING):
        waiting.result()
    return True


async def test_name_guard_ends_an_executor_whose_member_id_changes_again_and_again(
    clock: Clock,
) -> None:
    """Each of the two executors joins again every three seconds, for ever."""
    guard = NameGuard(ExecutorSettings(executor_name="same"), "same-1")
    for number in range(MOST_CHANGES + 1):
        clock.now += 3
        join(guard, f"member {number}")

    assert await is_taken(guard)


@pytest.mark.parametrize(
    ("name", "interval_s", "changes"),
    [("", 3, True), ("same", ID_CHANGES_S, True), ("same", 3, False)],
    ids=["no name", "seldom", "rebalances under one id"],
)
async def test_name_guard_leaves_other_executors_alone(
    clock: Clock, name: str, interval_s: float, changes: bool
) -> None:
    """Members without a name, a member that was silent for a session, and rebalances."""
    guard = NameGuard(ExecutorSettings(executor_name=name), "same-1")
    for number in range(2 * MOST_CHANGES):
        clock.now += interval_s
        join(guard, f"member {number * changes}")

    assert not await is_taken(guard)


async def test_name_guard_maps_the_broker_s_error(clock: Clock) -> None:
    """Error 82, which aiokafka does not know, and raises inside a plain error."""
    guard = NameGuard(ExecutorSettings(executor_name="same"), "same-1")
    with pytest.raises(KafkaRefusedError, match=SETTING), guard.map_error():
        raise KafkaError(repr(for_code(82)()))
    with pytest.raises(KafkaError), guard.map_error():
        raise KafkaError(repr(for_code(25)()))


@pytest.mark.parametrize(("topics", "warns"), [(["a", "a"], False), (["a", "b"], True)])
def test_assignor_warns_if_the_members_read_different_topics(
    topics: list[str], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a pool is two installations that share a name by mistake."""
    members = {f"{number}": SimpleNamespace(subscription=[t]) for number, t in enumerate(topics)}
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1})
    Assignor.assign(cluster, members)

    assert ("FABRIC_JOBS_KAFKA_PREFIX" in caplog.text) is warns


@pytest.mark.parametrize(("name", "static_name"), [("one", "pool.one"), ("", None)])
async def test_consumer_of_a_pool_commits_only_what_the_intake_tells_it(
    name: str, static_name: str | None
) -> None:
    """By default aiokafka commits each record that was read, also one whose claim is undecided."""
    settings = ExecutorSettings(pool="pool", executor_name=name)
    made = consumer.make_consumer(settings, "executor")
    commits_by_itself, start = made._enable_auto_commit, made._auto_offset_reset
    names = made._group_id, made._group_instance_id
    await made.stop()

    assert (commits_by_itself, start) == (False, "earliest")
    assert names == ("pool", static_name)
