"""The environment of the product's figures: a broker, an issuer of tokens, and the programs."""

import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from bench.handlers import ITEM_TYPE, SEEN
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka
from tests.support.brokers import Cluster
from tests.support.programs import Program, program

#: The broker's JVM as in production: both compilers, and the G1 collector.
JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")
#: Seconds until a facade is ready; to read a million jobs takes minutes.
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
    """How much work is done for a figure."""

    rounds: int
    #: Seconds of load per round.
    seconds: float
    #: Jobs per round of whole lives.
    lives: int
    #: Stored jobs in the figures about many jobs.
    stored: int


def broker(folder: Path) -> ApacheKafka:
    """The broker of all figures, not started yet."""
    return ApacheKafka(folder / "kafka", jvm=JVM)


class Ground:
    """The broker and the issuer, with the settings of programs that use them."""

    def __init__(
        self, folder: Path, kafka: ApacheKafka, issuer: Issuer, effort: Effort, log: IO[bytes]
    ) -> None:
        self.folder = folder
        self.kafka = kafka
        self.effort = effort
        self._issuer = issuer
        self._log = log
        #: The file that the handlers write to.
        self.seen = folder / "seen"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that Fabric sends for a user of the tenant."""
        return self._issuer.headers(TENANT)

    def topic(self) -> str:
        """The name of a topic that does not exist yet."""
        return f"bench.{uuid.uuid4()}"

    async def make_topic(self) -> str:
        """The name of a new topic. A replica creates it, because it creates a missing topic."""
        async with self.facade(topic := self.topic()):
            return topic

    def state_dir(self) -> Path:
        """The path of a folder that does not exist yet."""
        return self.folder / f"state-{uuid.uuid4()}"

    @asynccontextmanager
    async def facade(
        self, topic: str, state_dir: Path | None = None, **more: str
    ) -> AsyncIterator[Program]:
        """A facade replica as users run it: authentication on, state on disk; `more` settings."""
        state = {"FABRIC_JOBS_STATE_DIR": str(state_dir or self.state_dir())}
        settings = self._settings(topic) | state | more
        async with self._program("fabric_jobs.facade", **settings) as running:
            yield running

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[Program]:
        """The facade's HTTP part without a log."""
        async with self._program("bench.bare", **self._settings("")) as running:
            yield running

    @asynccontextmanager
    async def floor(self, topic: str) -> AsyncIterator[Program]:
        """The facade's HTTP part with one awaited send for each create, without authentication."""
        settings = self._settings(topic) | {"FABRIC_JOBS_AUTHENTICATION": "off"}
        async with self._program("bench.floor", **settings) as running:
            yield running

    @asynccontextmanager
    async def executor(
        self, topic: str, *facades: Program, slots: int = SLOTS
    ) -> AsyncIterator[Program]:
        """An executor with the bench's handlers."""
        settings = self._settings(topic) | {
            "FABRIC_JOBS_FACADES": ",".join(one.ready["grpc"] for one in facades),
            "FABRIC_JOBS_SLOTS": str(slots),
            SEEN: str(self.seen),
        }
        async with self._program(
            "fabric_jobs.executor", "bench.handlers:executor", **settings
        ) as running:
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
    """The URL of a replica's job instances, without their ids."""
    return (
        f"{replica.ready['http']}/workspaces/{uuid.UUID(int=1)}/items/{ITEM_TYPE}/"
        f"{uuid.UUID(int=2)}/jobTypes/{job_type}/instances/"
    )


@contextmanager
def ground(folder: Path, kafka: ApacheKafka, effort: Effort) -> Iterator[Ground]:
    """A ground with its own folder and issuer on the shared broker, until the end of the block."""
    folder.mkdir()
    with Issuer() as issuer, (folder / "programs.log").open("ab") as log:
        yield Ground(folder, kafka, issuer, effort, log)
