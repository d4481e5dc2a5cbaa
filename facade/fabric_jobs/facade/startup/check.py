"""`python -m fabric_jobs.facade check`: what a deployment needs, tried before it takes traffic."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.log import (
    Log,
    LogError,
    LogUnavailableError,
    Replication,
    TopicSpec,
    describe_replication,
    open_admin_client,
    read_broker_time,
)
from fabric_jobs.facade.roster import MAX_SKEW, skew
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.certificates import terms
from fabric_jobs.facade.startup.security import (
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    monitor_access,
)
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.settings import SettingsError, from_env, misspelled
from fabric_jobs.runtime.telemetry import providers

#: How long one thing is tried, in seconds.
TRY_S = 10.0


class CheckStatus(StrEnum):
    """What came of one thing that was tried."""

    OK = "ok"
    #: The facade would run; what it would be like is for the reader to judge.
    WARNING = "warning"
    #: The facade would not start, or not be ready.
    FAILED = "failed"


class Finding(NamedTuple):
    """One line of the report; a text of several lines says what to do in the later ones."""

    verdict: CheckStatus
    subject: str
    text: str

    def __str__(self) -> str:
        first, *more = self.text.splitlines()
        return "\n".join(
            [f"{self.verdict:<8} {self.subject:<10} {first}", *(f"{'':20}{line}" for line in more)]
        )


def report(environ: Mapping[str, str], *, create: bool) -> int:
    """Prints each finding as it is made; the exit code is 1 if anything failed.

    `create` makes the topics that are missing.
    """
    # Whatever a library would say of a failure, the finding says better.
    logging.disable()

    async def printed() -> bool:
        good = True
        async for finding in check(environ, create=create):
            print(finding, flush=True)
            good &= finding.verdict is not CheckStatus.FAILED
        return good

    return 0 if asyncio.run(printed()) else 1


async def check(environ: Mapping[str, str], *, create: bool) -> AsyncIterator[Finding]:
    """Tries one thing after the other, and goes on after a failure."""
    for text in misspelled(FacadeSettings, environ):
        yield Finding(CheckStatus.WARNING, "settings", text)
    try:
        settings = from_env(FacadeSettings, environ)
        http_address(settings)
        grpc_address(settings, grpc_security(settings))
        monitor_access(settings)
        client_arguments(settings)
        providers.signals(environ)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "settings", str(error))
        return
    yield Finding(CheckStatus.OK, "settings", "each can be used")
    for finding in _certificates(settings):
        yield finding
    yield _state(settings)
    yield await _authority(settings)
    async for finding in _kafka(settings, create=create or settings.create_topics):
        yield finding


def _certificates(settings: FacadeSettings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    try:
        found = terms(settings)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "tls", str(error))
        return
    for term in found:
        verdict = CheckStatus.OK
        if not term.holds(now):
            verdict = CheckStatus.FAILED
        elif term.is_late(now):
            verdict = CheckStatus.WARNING
        yield Finding(verdict, "tls", term.told(now))


def _state(settings: FacadeSettings) -> Finding:
    try:
        file = settings.state_file()
    except SettingsError as error:
        return Finding(CheckStatus.FAILED, "state", str(error))
    kept = f"is kept in {file}" if file else "is kept in memory, and read anew at each start"
    return Finding(CheckStatus.OK, "state", kept)


async def _authority(settings: FacadeSettings) -> Finding:
    try:
        trusted = authenticator(settings)
        if trusted is None:
            text = "authentication is off: whoever reaches the port may do everything"
            return Finding(CheckStatus.WARNING, "authority", text)
        count = await trusted.keys.fetch()
    except (SettingsError, AuthorityError) as error:
        return Finding(CheckStatus.FAILED, "authority", str(error))
    if not count:
        text = f"{settings.authority} publishes no RSA key: name another in FABRIC_JOBS_AUTHORITY."
        return Finding(CheckStatus.FAILED, "authority", text)
    return Finding(CheckStatus.OK, "authority", f"{count} keys from {settings.authority}")


async def _kafka(settings: FacadeSettings, *, create: bool) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(TRY_S), open_admin_client(settings) as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
    except (LogError, KafkaRefusedError, TimeoutError) as error:
        told = str(error) or (
            f"Nobody answers at {settings.kafka_bootstrap_servers} within {TRY_S:.0f} s. Set "
            "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
        )
        yield Finding(CheckStatus.FAILED, "kafka", told)
        return
    yield Finding(
        CheckStatus.OK, "kafka", f"brokers={brokers} by {settings.kafka_bootstrap_servers}"
    )
    if not settings.broker.topic_admin:
        text = "the embedded broker keeps nothing, and its topics can't be looked at"
        yield Finding(CheckStatus.WARNING, "topic", text)
        return
    for spec in (topics.events(settings), topics.heartbeats(settings)):
        finding = await _topic(settings, replace(spec, create=create))
        yield finding
    # Not to a missing one: a broker that makes topics on first use would make it as it likes.
    if finding.verdict is not CheckStatus.FAILED:
        yield await _append(settings)


async def _topic(settings: FacadeSettings, spec: TopicSpec) -> Finding:
    the_log = Log(settings, spec)
    try:
        await the_log.connect(within_s=TRY_S)
        found = await _replication(settings, spec.name)
    except (LogError, KafkaRefusedError) as error:
        return Finding(CheckStatus.FAILED, "topic", str(error))
    told = (
        f"{spec.name}: partitions={the_log.partitions} replicas={found.replicas} "
        f"min.insync.replicas={found.min_in_sync}"
    )
    verdict = CheckStatus.OK
    if found.faults:
        verdict = CheckStatus.FAILED
    elif found.risks:
        verdict = CheckStatus.WARNING
    return Finding(verdict, "topic", "\n".join([told, *found.faults, *found.risks]))


@retry(
    retry=retry_if_exception_type(LogUnavailableError),
    wait=wait_random_exponential(0.1, max=1),
    stop=stop_after_delay(TRY_S),
    reraise=True,
)
async def _replication(settings: FacadeSettings, topic: str) -> Replication:
    async with open_admin_client(settings) as admin:
        return await describe_replication(admin, topic, settings)


async def _append(settings: FacadeSettings) -> Finding:
    """By a record among the heartbeats that is none, and is passed over by all who read them."""
    topic = settings.heartbeats_topic
    written = datetime.now(UTC)
    try:
        async with asyncio.timeout(TRY_S):
            recorded = await read_broker_time(settings, topic, b"check")
    except KafkaRefusedError as error:
        return Finding(CheckStatus.FAILED, "append", str(error))
    except (LogError, TimeoutError):
        text = f"{topic} took no record within {TRY_S:.0f} s: look at its brokers."
        return Finding(CheckStatus.FAILED, "append", text)
    off = skew(written, recorded, datetime.now(UTC))
    told = f"{topic} took a record; this machine's clock is {off.total_seconds():.0f} s off"
    if off > MAX_SKEW:
        return Finding(CheckStatus.FAILED, "append", f"{told}: set it and the brokers' by NTP.")
    return Finding(CheckStatus.OK, "append", told)
