"""The doors of the programs: how an input of each is made, and how it is sent.

`make` uses random numbers only, so that a seed and a number make the same input again. `send`
returns what is wrong about the answer, or an empty text.
"""

import json
import re
import struct
import uuid
from contextlib import suppress
from typing import Any, ClassVar, Protocol

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from fabric_jobs.runtime.kafka.partitions import partition_of
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.fuzz.mutate import Mutator
from tests.fuzz.system import HEARTBEATS, ITEM, TOPIC, WORKSPACE, System, exchange
from tests.support.brokers import SERVERS
from tests.support.programs import PARTITIONS, TENANT

BODY = json.dumps(
    {
        "invokeType": "Manual",
        "creationPayload": {"a": [1, None, "x"]},
        "tenantId": TENANT,
        "workspaceId": WORKSPACE,
        "itemId": ITEM,
        "itemType": "Test.Item",
        "jobType": "quick",
        "jobInstanceId": WORKSPACE,
    }
).encode()
#: Seconds that one input may wait for its answer. A request that is incomplete gets none.
ANSWER_S = 0.15


class Door(Protocol):
    """One way into a program."""

    name: str

    def make(self, mutator: Mutator) -> bytes:
        """An input."""

    async def send(self, data: bytes) -> str:
        """Sends the input. Returns what is wrong about the answer, or an empty text."""


class Http:
    """Requests to a facade or to the issuer."""

    _METHODS = ("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PRI", "")
    _TYPES = ("text/plain", "application/json; charset=utf-16", "application/xml", "")

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        requests: list[tuple[str, str]],
        headers: dict[str, str],
    ) -> None:
        self.name = name
        self._address = address
        self._requests = requests
        self._headers = headers

    def make(self, mutator: Mutator) -> bytes:
        """A request with parts or bytes varied."""
        random = mutator.random
        method, path = random.choice(self._requests)
        path = path.replace("{w}", WORKSPACE).replace("{i}", ITEM)
        body = mutator.vary_json(BODY) if method == "POST" else b""
        if mutator.chance(0.1):
            method = random.choice(self._METHODS)
        if mutator.chance(0.3):
            path = path.replace(random.choice(path.split("/")) or "/", mutator.header(), 1)
        headers = {"Host": "127.0.0.1", "Connection": "close"} | self._headers
        if method == "POST":
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if mutator.chance(0.05):
            headers["Content-Type"] = random.choice(self._TYPES)
        if mutator.chance(0.05):
            headers["Content-Length"] = random.choice(("0", "-1", "9" * 9, "1_0"))
        for _ in range(random.choice((0, 0, 1, 3, 200))):
            headers[mutator.header() or "x"] = mutator.header()
        if mutator.chance(0.2):
            headers[random.choice(list(headers))] = mutator.header()
        lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        return mutator.vary_bytes(data) if mutator.chance(0.4) else data

    async def send(self, data: bytes) -> str:
        """A status of 5xx is wrong, but 501 for an unknown method and 503 are answers."""
        answer = await exchange(self._address, data, ANSWER_S)
        status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        if status and status[1].startswith(b"5") and status[1] not in (b"501", b"503"):
            return f"status {status[1].decode()}: {answer[-300:]!r}"
        return ""


class Frames:
    """The bytes of an HTTP/2 connection to the gRPC port."""

    name = "frames"
    _PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def __init__(self, system: System) -> None:
        host, _, port = system.grpc.rpartition(":")
        self._address = host, int(port)

    def make(self, mutator: Mutator) -> bytes:
        """A preface, and frames of any type and content."""
        random = mutator.random
        data = self._PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        for _ in range(random.choice((1, 5, 100))):
            body = random.randbytes(random.choice((0, 4, 8, 100)))
            size = len(body) if mutator.chance(0.9) else random.randrange(2**24)
            head = bytes([random.randrange(11), random.randrange(256)])
            stream = random.choice((0, 1, 3, 2**31 - 1)).to_bytes(4, "big")
            data += size.to_bytes(3, "big") + head + stream + body
        return mutator.vary_bytes(data) if mutator.chance(0.3) else data

    async def send(self, data: bytes) -> str:
        """Any answer is right: the connection is the sender's own."""
        await exchange(self._address, data, ANSWER_S)
        return ""


class Messages:
    """Messages to the methods of the status API: a byte for the method, then the message."""

    name = "messages"
    _METHODS = pb.DESCRIPTOR.services_by_name["JobStatusService"].methods
    _WRONG: ClassVar = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)

    def __init__(self, system: System) -> None:
        self._channel: Any = grpc.aio.insecure_channel(system.grpc)

    def make(self, mutator: Mutator) -> bytes:
        """A random message of a method's type, or such a message with its bytes varied."""
        number = mutator.random.randrange(len(self._METHODS))
        data = mutator.message(self._METHODS[number].input_type).SerializePartialToString()
        if mutator.chance(0.2):
            data = mutator.vary_bytes(data)
        return bytes([number]) + data

    async def send(self, data: bytes) -> str:
        """UNKNOWN and INTERNAL are wrong."""
        method = self._METHODS[data[0] % len(self._METHODS)]
        path = f"/{method.containing_service.full_name}/{method.name}"
        try:
            if method.name == "Session":
                hello = pb.SessionRequest(hello=pb.Hello(executor_id="fuzz"))
                messages = iter([hello.SerializeToString(), data[1:]])
                session = self._channel.stream_stream(path)(messages, timeout=ANSWER_S)
                async for _ in session:
                    pass
            elif method.server_streaming:
                stream = self._channel.unary_stream(path)(data[1:], timeout=ANSWER_S)
                async for _ in stream:
                    pass
            else:
                await self._channel.unary_unary(path)(data[1:], timeout=5)
        except grpc.aio.AioRpcError as error:
            # Of gRPC's client, which was still writing when the server had answered.
            is_clients_own = error.details() == "Internal error from Core"
            if error.code() in self._WRONG and not is_clients_own:
                return f"{method.name} answered {error.code().name}: {error.details()}"
        return ""


class Records:
    """Records on a topic: each with two bytes for its partition, and four for its length."""

    def __init__(
        self, name: str, topic: str, producer: AIOKafkaProducer, stories: list[list[bytes]]
    ) -> None:
        """A story is what the programs wrote about one job, or one heartbeat."""
        self.name = name
        self._topic = topic
        self._producer = producer
        self._stories = stories

    def make(self, mutator: Mutator) -> bytes:
        """The story of another job, with the values, the bytes or the place of a record varied."""
        random = mutator.random
        story = list(random.choice(self._stories))
        job_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        if old := _SUBJECT.search(story[0]):
            story = [value.replace(old[1], job_id.encode()) for value in story]
        if mutator.chance(0.95):
            # Jobs that the executor would run, and other clients' jobs would wait for.
            story = [value.replace(b'"quick"', b'"slow"') for value in story]
        for _ in range(random.choice((1, 1, 2))):
            at = random.randrange(len(story))
            # What was varied before may be no JSON any more.
            varied_json = mutator.chance(0.8) and story[at].startswith(b"{")
            with suppress(ValueError, RecursionError):
                vary = mutator.vary_json if varied_json else mutator.vary_bytes
                story[at] = vary(story[at])
        place = partition_of(job_id, PARTITIONS) if self._topic == TOPIC else 0
        if mutator.chance(0.05):
            place = random.randrange(PARTITIONS)
        return b"".join(struct.pack(">HI", place, len(value)) + value for value in story)

    async def send(self, data: bytes) -> str:
        """No record has an answer."""
        while data:
            place, size = struct.unpack(">HI", data[:6])
            partition = place if self._topic == TOPIC else 0
            value, data = data[6 : 6 + size], data[6 + size :]
            await self._producer.send_and_wait(
                self._topic, value, _key_of(value), partition=partition
            )
        return ""


_SUBJECT = re.compile(rb'"subject": ?"([0-9a-f-]{36})"')
_KIND = re.compile(rb'"kind": ?(\["[^"]*","[^"]*"\])')


def _key_of(value: bytes) -> bytes:
    """The key under which a facade takes the record, if it can be told from the value."""
    found = _SUBJECT.search(value) or _KIND.search(value)
    return found[1] if found else b"fuzz"


async def read_stories(system: System, topic: str) -> list[list[bytes]]:
    """What the programs have written to the topic: the events of each job, or each heartbeat."""
    partitions = range(PARTITIONS if topic == TOPIC else 1)
    consumer = AIOKafkaConsumer(bootstrap_servers=system.environment[SERVERS])
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in partitions]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        found = await consumer.getmany(timeout_ms=5000)
    finally:
        await consumer.stop()
    stories: dict[object, list[bytes]] = {}
    for batch in found.values():
        for record in batch:
            subject = _SUBJECT.search(record.value)
            stories.setdefault(subject[1] if subject else record.offset, []).append(record.value)
    return list(stories.values())


_JOB = "/workload/workspaces/{w}/items/Test.Item/{i}/jobTypes/quick/instances/{w}"
_REMOTE = "/workload/workspaces/{w}/items/Test.Item/{i}/jobs"
REQUESTS = [
    ("POST", _JOB),
    ("POST", f"{_JOB}/cancel"),
    ("GET", _JOB),
    *(("POST", f"{_REMOTE}/on{name}JobInstance") for name in ("Create", "Cancel")),
    ("POST", f"{_REMOTE}/onGetJobInstanceStatus"),
    *(("GET", path) for path in ("/livez", "/readyz", "/metrics", "/schema/openapi.json", "/")),
    *(("GET", f"/monitor/{path}") for path in ("", "executors", "sign-in", "static/monitor.css")),
    *(("GET", f"/monitor/{path}") for path in ("find?id={w}", "jobs/{w}", "?status=Failed&page=2")),
    *(("GET", f"/monitor/{path}") for path in ("ended?period=day&sort=ran", "executor?id={w}")),
    *(("GET", f"/monitor/{path}") for path in ("?order=oldest", "bulk/retry?tenant={w}&id=0000")),
    *(("POST", f"/monitor/{path}") for path in ("bulk/cancel", "jobs/{w}/retry")),
]
ISSUER_REQUESTS = [
    ("GET", "/common/.well-known/openid-configuration"),
    ("GET", "/common/discovery/keys"),
    ("GET", "/headers?tenant={w}&version=1.0&subject=no"),
]


async def open_doors(system: System, producer: AIOKafkaProducer) -> list[Door]:
    """All doors but the command line, which takes a process for each input."""
    return [
        Http("http", system.http, REQUESTS, await system.headers()),
        Http("issuer", system.issuer, ISSUER_REQUESTS, {}),
        Frames(system),
        Messages(system),
        Records("events", TOPIC, producer, await read_stories(system, TOPIC)),
        Records("heartbeats", HEARTBEATS, producer, await read_stories(system, HEARTBEATS)),
    ]
