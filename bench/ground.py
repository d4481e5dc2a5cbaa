"""What the product's figures stand on: a broker, an issuer of tokens, and the programs."""

import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.handlers import ITEM_TYPE, SEEN
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka
from tests.support.brokers import Cluster
from tests.support.programs import Program, program

#: As in production: both compilers, and a collector made for throughput and short pauses.
JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")
#: Reading a million jobs anew takes minutes.
READY_S = 3600
TENANT = "de000000-0000-4000-8000-000000000001"
PARTITIONS = 24
_SETTINGS = {
    "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
    "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
    "FABRIC_JOBS_CREATE_TOPICS": "true",
    "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
}
#: How many runs an executor of the bench holds at a time.
SLOTS = 100


class Effort(NamedTuple):
    """How much is done for a figure."""

    rounds: int
    #: How long a round's load lasts.
    seconds: float
    #: How many jobs a round of whole lives has.
    lives: int
    #: How many jobs are stored where many are.
    stored: int


def broker(folder: Path) -> ApacheKafka:
    """The broker of all figures, to be started; it is cold."""
    return ApacheKafka(folder / "kafka", jvm=JVM)


class Ground:
    """The broker and the issuer, and what a program of the product needs to use them."""

    def __init__(self, folder: Path, kafka: ApacheKafka, issuer: Issuer, effort: Effort) -> None:
        self.folder = folder
        self.kafka = kafka
        self.effort = effort
        self._issuer = issuer
        self._log = (folder / "programs.log").open("ab")
        #: Where the handlers of this ground write.
        self.seen = folder / "seen"

    @property
    def headers(self) -> dict[str, str]:
        """What Fabric sends for a user of the tenant."""
        return self._issuer.headers(TENANT)

    def topic(self) -> str:
        """The name of a topic that is not there yet."""
        return f"bench.{uuid.uuid4()}"

    def state_dir(self) -> Path:
        """A folder that is not there yet."""
        return self.folder / f"state-{uuid.uuid4()}"

    @asynccontextmanager
    async def facade(self, topic: str, state_dir: Path | None = None) -> AsyncIterator[Program]:
        """A replica, run as its users run it: authentication on, state on disk."""
        state = {"FABRIC_JOBS_STATE_DIR": str(state_dir or self.state_dir())}
        async with self._program("facade", **self._settings(topic), **state) as running:
            yield running

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[Program]:
        """The facade's HTTP with no log behind it."""
        async with self._program("bench.bare", **self._settings("")) as running:
            yield running

    @asynccontextmanager
    async def executor(self, topic: str, *facades: Program) -> AsyncIterator[Program]:
        """An executor with the bench's handlers."""
        settings = self._settings(topic) | {
            "FABRIC_JOBS_FACADES": ",".join(one.ready["grpc"] for one in facades),
            "FABRIC_JOBS_SLOTS": str(SLOTS),
            "FABRIC_JOBS_POOL": topic,
            SEEN: str(self.seen),
        }
        async with self._program("executor", "bench.handlers:executor", **settings) as running:
            yield running

    @asynccontextmanager
    async def _program(self, *arguments: str, **environment: str) -> AsyncIterator[Program]:
        command = (sys.executable, "-m", *arguments)
        async with program(
            *command, environment=environment, stderr=self._log, ready_s=READY_S
        ) as running:
            yield running

    def _settings(self, topic: str) -> dict[str, str]:
        kafka = Cluster(self.kafka.bootstrap_servers, APACHE).environment(topic)
        return kafka | self._issuer.settings | _SETTINGS


def instances(replica: Program, job_type: str) -> str:
    """The address of a replica's job instances, without their ids."""
    return (
        f"{replica.ready['http']}/workspaces/{uuid.UUID(int=1)}/items/{ITEM_TYPE}/"
        f"{uuid.UUID(int=2)}/jobTypes/{job_type}/instances/"
    )


@contextmanager
def ground(folder: Path, kafka: ApacheKafka, effort: Effort) -> Iterator[Ground]:
    """A folder of its own on the broker of all, and an issuer, for as long as the block lasts."""
    folder.mkdir()
    with Issuer() as issuer:
        yield Ground(folder, kafka, issuer, effort)
