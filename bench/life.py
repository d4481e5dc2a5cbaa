"""`python -m bench.life JSON`: drives and polls whole lives of jobs, and prints one JSON object.

Each job is created with a new id and polled until its state is final, which ends its life.
Connections are kept alive, and each carries one request at a time.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

PAUSE_S = 0.02
PATIENCE_S = 100.0


class Plan(Struct):
    """The jobs to drive."""

    #: The URL of the jobs, without their ids.
    url: str
    headers: dict[str, str]
    salt: str
    lives: int
    connections: int = 64


class Answer(Struct):
    """A job's state in a poll's answer."""

    status: str


class Connection:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, plan: Plan) -> None:
        self._url = urlsplit(plan.url)
        lines = [f"{name}: {value}\r\n" for name, value in plan.headers.items()]
        self._head = f" HTTP/1.1\r\nHost: {self._url.netloc}\r\n" + "".join(lines)

    async def open(self) -> "Connection":
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_connection(
            self._url.hostname, self._url.port
        )
        return self

    async def ask(self, method: str, job_id: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request; the status and body of the answer."""
        sized = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        head = (
            f"{method} {self._url.path}{job_id}{self._head}{sized if body else chr(13) + chr(10)}"
        )
        self._writer.write(head.encode() + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        length = 0
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(lines[0].split(b" ", 2)[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def live(plan: Plan) -> dict[str, float]:
    """Drive all jobs to their ends, and time it. Raises `ValueError` for a wrong answer."""
    ids = (f"{plan.salt}-0000-4000-8000-{count:012x}" for count in range(plan.lives))
    accepted: deque[str] = deque()
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _on_each(plan, lambda one: _create(one, ids, accepted))
            created = time.perf_counter()
            # Poll only after the last job has ended, so that each job has one poll.
            await _once_over(plan, accepted[-1])
            # New connections, because servers close those that were idle for some seconds.
            polls = await _on_each(plan, lambda one: _poll(one, accepted))
    except TimeoutError:
        raise ValueError(f"not over in {PATIENCE_S:.0f} s: {[*accepted][:3]}") from None
    took = time.perf_counter() - begun
    return {
        "lives": plan.lives,
        "seconds": took,
        "create_seconds": created - begun,
        "polls": sum(polls),
    }


async def _on_each(plan: Plan, do: Callable[[Connection], Awaitable[int]]) -> list[int]:
    connections = await asyncio.gather(*(Connection(plan).open() for _ in range(plan.connections)))
    try:
        return await asyncio.gather(*map(do, connections))
    finally:
        for one in connections:
            one.close()


async def _once_over(plan: Plan, name: str) -> None:
    connection = await Connection(plan).open()
    while not await _over(connection, name):
        await asyncio.sleep(PAUSE_S)
    connection.close()


async def _create(connection: Connection, ids: Iterator[str], accepted: deque[str]) -> int:
    creates = 0
    for job_id in ids:
        body = b'{"invokeType":"Manual","creationPayload":{"sent":%d}}' % time.monotonic_ns()
        status, answer = await connection.ask("POST", job_id, body)
        if status != 202:
            raise ValueError(f"a create was answered with {status}: {answer!r}")
        # The answer may give the job another id for polls.
        accepted.append(answer.decode() or job_id)
        creates += 1
    return creates


async def _over(connection: Connection, name: str) -> bool:
    status, answer = await connection.ask("GET", name)
    if status != 200:
        raise ValueError(f"a poll was answered with {status}: {answer!r}")
    state = msgspec.json.decode(answer, type=Answer).status
    if state in ("Failed", "Cancelled"):
        raise ValueError(f"the job {name} is {state}")
    return state == "Completed"


async def _poll(connection: Connection, names: deque[str]) -> int:
    polls = 0
    while names:
        name = names.popleft()
        polls += 1
        if not await _over(connection, name):
            names.append(name)
            await asyncio.sleep(PAUSE_S)
    return polls


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(live(plan))).decode())
