"""A broker erases the grants that were deleted from its disk."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from fabric_jobs.facade.log import Log
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.log_kit import RecordingReader
from tests.support.requirements import no_apache_kafka

SECRET = b"the sealed refresh token"
#: In place of an hour.
ERASURE_MS = 1000


class EagerKafka(ApacheKafka):
    """A broker that looks for what to erase every second, and not every 15."""

    def _settings(self, node: int) -> dict[str, object]:
        return super()._settings(node) | {"log.cleaner.backoff.ms": 1000}


async def test_deleted_grant_is_erased_once_its_segment_is_closed(tmp_path: Path) -> None:
    """The topic is created as by a facade, with seconds in place of an hour."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with EagerKafka(tmp_path / "kafka") as kafka:
        settings = FacadeSettings(
            kafka_bootstrap_servers=kafka.bootstrap_servers, create_topics=True
        )
        log = Log(settings, replace(topics.grants(settings), erasure_ms=ERASURE_MS))
        await log.connect()
        running = asyncio.create_task(log.run(RecordingReader()))
        try:
            async with asyncio.timeout(60):
                await log.catch_up()
                await (await log.append(0, b"grant", SECRET, []))
                assert is_on_disk(tmp_path)
                await (await log.append(0, b"grant", b"deleted", []))
                while is_on_disk(tmp_path):
                    # As the facade of lowest rank does from time to time.
                    await (await log.append(0, b"facade", b"", []))
                    await asyncio.sleep(0.5)
        finally:
            running.cancel()
            await asyncio.wait([running])


def is_on_disk(folder: Path) -> bool:
    """Whether the secret is in a segment of any topic; a deleted file is renamed first."""
    return any(SECRET in file.read_bytes() for file in folder.rglob("*.log"))
