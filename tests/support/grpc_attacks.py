"""Attacks over gRPC: what an executor or another client of the status API may send to a facade.

An attack is a function of the facade's addresses. It returns once everything was sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import httpx
import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.attacked import INSTANCES, Attack, Target
from tests.support.programs import TENANT, new_id


@asynccontextmanager
async def status_stub(at: Target) -> AsyncIterator[JobStatusServiceStub]:
    """A client of the status API."""
    async with grpc.aio.insecure_channel(at.grpc) as channel:
        yield JobStatusServiceStub(channel)  # type: ignore[no-untyped-call] # generated


async def send_session(stub: JobStatusServiceStub, *requests: pb.SessionRequest) -> Any:
    """A session on which the requests were sent, or as many as the facade takes; none is read."""
    session = stub.Session()
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for request in requests:
            await session.write(request)
    return session


def hello(number: int, kinds: int, slots: int = 10) -> pb.SessionRequest:
    """The hello of an executor with handlers for so many types, all of its own."""
    job_types = [
        pb.JobType(item_type=f"Item{number}", job_type=f"job{kind}") for kind in range(kinds)
    ]
    return pb.SessionRequest(
        hello=pb.Hello(executor_id=f"hostile-{number}", slots=slots, job_types=job_types)
    )


async def heartbeat_of_empty_types(at: Target) -> None:
    """A heartbeat of 4 MB with 2,000,000 empty job types, and two of the largest size."""
    async with status_stub(at) as stub:
        for count in (2_000_000, 1_000_000, 1_000_000):
            types = [pb.JobType()] * count
            beat = pb.SessionRequest(heartbeat=pb.Heartbeat(full_job_types=types))
            session = await send_session(stub, hello(0, 400), beat)
            with suppress(grpc.aio.AioRpcError):
                async with asyncio.timeout(60):
                    while await session.read() is not grpc.aio.EOF:
                        pass


async def watcher_that_reads_nothing(at: Target) -> None:
    """A watch that is not read, while 300 jobs of 200 KB are created."""
    content = b'{"invokeType": "Scheduled", "creationPayload": {"a": "' + b"x" * 200_000 + b'"}}'
    async with status_stub(at) as stub, httpx.AsyncClient(base_url=at.url, timeout=60) as client:
        watches = [stub.WatchJobs(pb.WatchJobsRequest()) for _ in range(4)]
        for watch in watches:
            await watch.read()
        for _ in range(300):
            created = await client.post(
                f"{INSTANCES}/{new_id()}",
                content=content,
                headers={"x-ms-client-tenant-id": TENANT},
            )
            assert created.status_code == 202
        for watch in watches:
            watch.cancel()


async def session_that_reads_nothing(at: Target) -> None:
    """40 heartbeats that each name 10,000 runs of a final job; their answers are not read."""
    job_id = new_id()
    async with status_stub(at) as stub, httpx.AsyncClient(base_url=at.url, timeout=60) as client:
        headers = {"x-ms-client-tenant-id": TENANT}
        path = f"{INSTANCES}/{job_id}"
        await client.post(path, content=b'{"invokeType": "Scheduled"}', headers=headers)
        await client.post(f"{path}/cancel", headers=headers)
        runs = [pb.Run(job_id=job_id, attempt=number) for number in range(1, 10_001)]
        beat = pb.SessionRequest(heartbeat=pb.Heartbeat(runs=runs))
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                session = await send_session(stub, hello(1, 1, slots=10_000), *[beat] * 40)
                session.cancel()


async def many_hellos(at: Target) -> None:
    """500 streams with a hello of 400 job types each, and a heartbeat; then all are gone."""
    beat = pb.SessionRequest(heartbeat=pb.Heartbeat(free_slots=1))
    async with status_stub(at) as stub:
        for number in range(500):
            session = await send_session(stub, hello(number, 400), beat)
            await session.done_writing()
            with suppress(grpc.aio.AioRpcError):
                while await session.read() is not grpc.aio.EOF:
                    pass


async def executor_of_any_size(at: Target) -> None:
    """200 executors that say to have 2,147,483,647 free slots, or as many slots."""
    huge = 2**31 - 1
    beat = pb.SessionRequest(heartbeat=pb.Heartbeat(free_slots=huge))
    async with status_stub(at) as stub:
        sessions = [
            await send_session(stub, hello(number, 1, slots=huge if number % 2 else 10), beat)
            for number in range(200)
        ]
        for session in sessions:
            session.cancel()


async def claims_with_long_ids(at: Target) -> None:
    """100 claims whose job ids have 1 MB each, and 20,000 claims of jobs that do not exist."""
    long = [[pb.Claim(entry_id=1, job_id=f"{n}{'x' * 1_000_000}", attempt=1)] for n in range(100)]
    # No job is in this partition, so no claim waits for a record of it.
    record, policy = pb.Record(partition=1000), pb.Policy(max_attempts=1)
    unknown = [
        [pb.Claim(job_id=new_id(), attempt=1, record=record, policy=policy) for _ in range(500)]
        for _ in range(40)
    ]
    async with status_stub(at) as stub:
        session = await send_session(stub, hello(0, 1))
        for claims in (*long, *unknown):
            await session.write(pb.SessionRequest(claims=claims))
            left = len(claims)
            while left:
                left -= len((await session.read()).answers)
        session.cancel()


def unknown_field(size: int) -> bytes:
    """A field of so many bytes that no message has. A receiver keeps it with its message."""
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    return b"\xfa\x3e" + length + b"x" * size


async def claims_with_large_policies(at: Target) -> None:
    """60 claims whose policies have an unknown field of 1.9 MB each."""
    async with status_stub(at) as stub:
        session = await send_session(stub, hello(0, 1))
        for number in range(60):
            policy = pb.Policy(jitter=number / 100)
            policy.MergeFromString(unknown_field(1_900_000))
            claim = pb.Claim(entry_id=1, job_id=new_id(), attempt=1, policy=policy)
            await session.write(pb.SessionRequest(claims=[claim]))
            await session.read()
        session.cancel()


async def open_streams_with_large_messages(at: Target) -> None:
    """60 sessions and 60 watches stay open; the request of each has a field of 1.9 MB."""
    beat = pb.Heartbeat(free_slots=1)
    async with status_stub(at) as stub:
        held = list[Any]()
        for number in range(60):
            request = pb.SessionRequest(hello=hello(number, 1).hello, heartbeat=beat)
            request.hello.MergeFromString(unknown_field(1_900_000))
            held.append(await send_session(stub, request))
            await held[-1].read()
            watch = stub.WatchJobs(pb.WatchJobsRequest.FromString(unknown_field(1_900_000)))
            with suppress(grpc.aio.AioRpcError):
                await watch.read()
            held.append(watch)
        await asyncio.sleep(1)
        for stream in held:
            stream.cancel()


async def refused_hellos(at: Target) -> None:
    """100 sessions whose hello has 1.9 MB and no executor id."""
    first = pb.SessionRequest(hello=pb.Hello(version="x" * 1_900_000))
    async with status_stub(at) as stub:
        for _ in range(100):
            session = await send_session(stub, first)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await session.read()
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def jobs_of_a_misspelt_type(at: Target) -> None:
    """200 jobs of a type that nobody serves, among 400 types that an executor serves."""
    beat = pb.SessionRequest(heartbeat=pb.Heartbeat())
    path = INSTANCES.replace("/quick/", "/job7x/")
    async with (
        status_stub(at) as stub,
        httpx.AsyncClient(base_url=at.url, timeout=60) as client,
    ):
        session = await send_session(stub, hello(0, 400), beat)
        for _ in range(200):
            created = await client.post(
                f"{path}/{new_id()}",
                content=b'{"invokeType": "Scheduled"}',
                headers={"x-ms-client-tenant-id": TENANT},
            )
            assert created.status_code == 202
        for _ in range(5):
            listed = await stub.ListJobs(pb.ListJobsRequest(page_size=1000, job_type="job7x"))
            assert any("No executor has a handler" in job.hint for job in listed.jobs)
            assert (await client.get("/monitor?job_type=job7x")).status_code == 200
        session.cancel()


async def long_names_of_job_types(at: Target) -> None:
    """20 pauses and resumes of a job type whose name has 1.9 MB."""
    name = "a b c d e f " * 160_000
    async with status_stub(at) as stub:
        for _ in range(10):
            for call in (
                stub.PauseJobType(pb.PauseJobTypeRequest(item_type=name, job_type="x", reason="r")),
                stub.ResumeJobType(pb.ResumeJobTypeRequest(item_type="x", job_type=name)),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await call
                assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def executor_with_many_runs(at: Target) -> None:
    """9,000 runs of unknown jobs and 400 types with one slot each, for 40 rounds of offers."""
    first = hello(0, 400, slots=10_000)
    for kind in first.hello.job_types:
        kind.slots = 1
    runs = [pb.Run(job_id=new_id(), attempt=1) for _ in range(9000)]
    first.heartbeat.CopyFrom(pb.Heartbeat(free_slots=500, runs=runs))
    async with status_stub(at) as stub:
        session = await send_session(stub, first)
        await asyncio.sleep(4)
        session.cancel()


GRPC_ATTACKS: list[Attack] = [
    heartbeat_of_empty_types,
    watcher_that_reads_nothing,
    session_that_reads_nothing,
    many_hellos,
    executor_of_any_size,
    claims_with_long_ids,
    claims_with_large_policies,
    open_streams_with_large_messages,
    refused_hellos,
    jobs_of_a_misspelt_type,
    long_names_of_job_types,
    executor_with_many_runs,
]
