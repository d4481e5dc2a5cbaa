"""The publisher of one executor's heartbeats, with a roster that stands for Kafka."""

import asyncio
from typing import Any

from fabric_jobs.contract.heartbeats import MAX_RUNS, ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.rpc.heartbeat_publisher import MIN_INTERVAL_S, HeartbeatPublisher
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.rpc_kit import HELLO

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


class Roster:
    """A roster that keeps heartbeats, once Kafka takes them."""

    def __init__(self) -> None:
        self.kafka_answers = asyncio.Event()
        self.heartbeats: list[ExecutorHeartbeat] = []

    async def publish(self, heartbeat: ExecutorHeartbeat) -> None:
        """Keeps the heartbeat."""
        await self.kafka_answers.wait()
        self.heartbeats.append(heartbeat)


def publisher_to(roster: Any) -> HeartbeatPublisher:
    """Returns the publisher of an executor with a certificate."""
    return HeartbeatPublisher(HELLO, ["name"], roster)


async def publish(heartbeat: pb.Heartbeat, runs: list[Run]) -> list[ExecutorHeartbeat]:
    """Publishes one heartbeat, and returns the records."""
    roster = Roster()
    roster.kafka_answers.set()
    publishing = publisher_to(roster).publish(heartbeat, runs)
    assert publishing
    await publishing
    return roster.heartbeats


async def test_heartbeat_with_more_runs_than_a_record_holds_is_published_in_parts() -> None:
    """Each part says what the executor said of itself."""
    runs = [Run(JOB_ID, number) for number in range(1, MAX_RUNS + 2)]

    parts = await publish(pb.Heartbeat(free_slots=2, hung_slots=1), runs)

    assert [part.runs for part in parts] == [tuple(runs[:MAX_RUNS]), tuple(runs[MAX_RUNS:])]
    for part in parts:
        assert (part.executor_id, part.pool, part.slots) == ("executor", "pool", 3)
        assert (part.free_slots, part.hung_slots) == (2, 1)
        assert (part.version, part.names) == ("a-program 1.2", ("name",))
        assert part.job_kinds == (JobKind("Item", "job"),)


async def test_heartbeat_without_runs_is_published_with_the_slots_of_the_hello_at_most() -> None:
    """A heartbeat says that the executor is there, also if it runs nothing."""
    (part,) = await publish(pb.Heartbeat(free_slots=10_000, hung_slots=10_000), [])

    assert part.runs == ()
    assert (part.free_slots, part.hung_slots) == (3, 3)


async def test_only_the_latest_heartbeat_waits_while_kafka_is_slow() -> None:
    """Heartbeats do not pile up."""
    roster = Roster()
    publisher = publisher_to(roster)
    publishing = publisher.publish(pb.Heartbeat(free_slots=0), [])
    assert publishing
    for free_slots in (1, 2, 3):
        assert publisher.publish(pb.Heartbeat(free_slots=free_slots), []) is None
    roster.kafka_answers.set()
    await publishing

    assert [heartbeat.free_slots for heartbeat in roster.heartbeats] == [0, 3]
    again = publisher.publish(pb.Heartbeat(free_slots=2), [])
    assert again
    await again
    assert roster.heartbeats[-1].free_slots == 2


async def test_heartbeats_of_a_flood_are_published_at_intervals() -> None:
    """One executor must not fill the topic that every facade reads."""
    roster = Roster()
    roster.kafka_answers.set()
    publisher = publisher_to(roster)
    clock = asyncio.get_running_loop().time
    begin, tasks = clock(), list[asyncio.Task[None]]()
    while (passed_s := clock() - begin) < 2.5 * MIN_INTERVAL_S:
        if publishing := publisher.publish(pb.Heartbeat(free_slots=1), []):
            tasks.append(asyncio.create_task(publishing))
        await asyncio.sleep(0)

    assert 2 <= len(roster.heartbeats) <= passed_s / MIN_INTERVAL_S + 1
    publisher.publish(pb.Heartbeat(free_slots=2), [])
    await asyncio.gather(*tasks)
    assert roster.heartbeats[-1].free_slots == 2
