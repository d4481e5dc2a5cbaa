"""`python -m fabric_jobs.facade check`: tests what a deployment needs before it takes traffic."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.errors import KafkaError
from msgspec.structs import replace
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.clock import MAX_SKEW, offset
from fabric_jobs.facade.log import (
    Log,
    LogError,
    LogUnavailableError,
    Replication,
    TopicSpec,
    describe_replication,
    open_admin_client,
    read_broker_time,
    read_sample,
)
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.certificates import validities
from fabric_jobs.facade.startup.on_behalf_of import confidential_client, verify_client
from fabric_jobs.facade.startup.openid import openid_sign_in
from fabric_jobs.facade.startup.record_keys import KeyUsage
from fabric_jobs.facade.startup.sealing_keys import describe_key_use, find_key_use
from fabric_jobs.facade.startup.security import (
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    job_secrets,
    monitor_access,
    record_codes,
    sealer,
)
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.settings import SettingsError, find_misspellings, from_env, variable
from fabric_jobs.runtime.telemetry import providers

if TYPE_CHECKING:
    from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient

#: Seconds that one check of Kafka may take.
TRY_S = 10.0


class CheckStatus(StrEnum):
    """The result of one check."""

    OK = "ok"
    #: The facade would run; the reader decides whether it would run well enough.
    WARNING = "warning"
    #: The facade would not start, or would not become ready.
    FAILED = "failed"


class Finding(NamedTuple):
    """One line of the report; further lines of the text say what to do."""

    status: CheckStatus
    subject: str
    text: str

    def __str__(self) -> str:
        first, *more = self.text.splitlines()
        return "\n".join(
            [f"{self.status:<8} {self.subject:<10} {first}", *(f"{'':20}{line}" for line in more)]
        )


def print_report(environ: Mapping[str, str], *, create: bool) -> int:
    """Prints each finding as soon as it is made. Returns exit code 1 if any check failed, else 0.

    `create` makes the check create the topics that are missing.
    """
    # A finding says more about a failure than a library's log lines do.
    logging.disable()

    async def print_findings() -> bool:
        passed = True
        async for finding in check(environ, create=create):
            print(finding, flush=True)
            passed &= finding.status is not CheckStatus.FAILED
        return passed

    return 0 if asyncio.run(print_findings()) else 1


async def check(environ: Mapping[str, str], *, create: bool) -> AsyncIterator[Finding]:
    """Makes one check after the other, also after a failed one; unusable settings end it."""
    for text in find_misspellings(FacadeSettings, environ):
        yield Finding(CheckStatus.WARNING, "settings", text)
    try:
        settings = from_env(FacadeSettings, environ)
        http_address(settings)
        grpc_address(settings, grpc_security(settings))
        monitor_access(settings, openid_sign_in(settings))
        record_codes(settings)
        job_secrets(settings)
        client = confidential_client(settings)
        client_arguments(settings)
        providers.exported_signals(environ)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "settings", str(error))
        return
    yield Finding(CheckStatus.OK, "settings", "each can be used")
    for finding in _check_certificates(settings):
        yield finding
    yield _check_state(settings)
    for finding in _check_record_codes(settings):
        yield finding
    yield await _check_authority(settings)
    if client:
        yield await _check_client(client, settings)
    async for finding in _check_kafka(settings, create=create or settings.create_topics):
        yield finding


def _check_certificates(settings: FacadeSettings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    try:
        found = validities(settings)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "tls", str(error))
        return
    for validity in found:
        status = CheckStatus.OK
        if not validity.covers(now):
            status = CheckStatus.FAILED
        elif validity.needs_renewal(now):
            status = CheckStatus.WARNING
        yield Finding(status, "tls", validity.describe(now))


def _check_record_codes(settings: FacadeSettings) -> Iterator[Finding]:
    codes = record_codes(settings)
    if codes is None:
        return
    keys = f"keys: {', '.join(codes.key_ids)}"
    if settings.record_codes == "require":
        yield Finding(CheckStatus.OK, "codes", f"a record without a code is refused; {keys}")
    else:
        text = (
            f"a record without a code is taken; {keys}\n"
            f"Set {variable('record_codes')}=require once every facade has had keys for as long as "
            "the topic keeps records."
        )
        yield Finding(CheckStatus.WARNING, "codes", text)


def _check_state(settings: FacadeSettings) -> Finding:
    try:
        file = settings.state_file()
    except SettingsError as error:
        return Finding(CheckStatus.FAILED, "state", str(error))
    text = (
        f"is kept in {file}" if file else "is kept in memory, so each start reads the whole topic"
    )
    return Finding(CheckStatus.OK, "state", text)


async def _check_authority(settings: FacadeSettings) -> Finding:
    try:
        checker = authenticator(settings)
        if checker is None:
            text = "authentication is off: any client that can connect may call the HTTP API"
            return Finding(CheckStatus.WARNING, "authority", text)
        count = await checker.keys.fetch()
    except (SettingsError, AuthorityError) as error:
        return Finding(CheckStatus.FAILED, "authority", str(error))
    if not count:
        text = (
            f"{settings.authority} publishes no RSA key. Set another one in FABRIC_JOBS_AUTHORITY."
        )
        return Finding(CheckStatus.FAILED, "authority", text)
    return Finding(CheckStatus.OK, "authority", f"{count} keys from {settings.authority}")


async def _check_client(client: "ConfidentialClient", settings: FacadeSettings) -> Finding:
    fault = await verify_client(client, settings.on_behalf_of_scope)
    client.close()
    if fault:
        return Finding(CheckStatus.FAILED, "client", fault)
    text = f"the authority gives the workload tokens for {settings.on_behalf_of_scope}"
    return Finding(CheckStatus.OK, "client", text)


async def _check_kafka(settings: FacadeSettings, *, create: bool) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(TRY_S), open_admin_client(settings) as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
    except (LogError, KafkaRefusedError, TimeoutError) as error:
        text = str(error) or (
            f"No broker answers at {settings.kafka_bootstrap_servers} within {TRY_S:.0f} s. Set "
            "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
        )
        yield Finding(CheckStatus.FAILED, "kafka", text)
        return
    yield Finding(
        CheckStatus.OK, "kafka", f"brokers={brokers} by {settings.kafka_bootstrap_servers}"
    )
    if not settings.broker.topic_admin:
        text = "the embedded broker keeps nothing, and its topics can't be checked"
        yield Finding(CheckStatus.WARNING, "topic", text)
        return
    # The topic of the append comes last.
    specs = [topics.events(settings), topics.controls(settings), topics.heartbeats(settings)]
    if settings.gets_user_tokens:
        specs.insert(0, topics.grants(settings))
    for spec in specs:
        finding = await _check_topic(settings, replace(spec, create=create))
        yield finding
        has_events = spec.name == settings.events_topic and finding.status is not CheckStatus.FAILED
        if has_events and (codes := await _check_record_keys(settings)):
            yield codes
    if settings.sealing_keys and finding.status is not CheckStatus.FAILED:
        yield await _check_sealing(settings)
    # A write to a missing topic could create it, with whatever configuration the broker has.
    if finding.status is not CheckStatus.FAILED:
        yield await _check_append(settings)


async def _check_sealing(settings: FacadeSettings) -> Finding:
    keys = sealer(settings, settings.events_topic)
    assert keys
    try:
        use = await find_key_use(settings)
    except (KafkaRefusedError, LogError, KafkaError, TimeoutError) as error:
        text = f"the events can't be read, so that the needed keys are not known: {error}"
        return Finding(CheckStatus.FAILED, "sealing", text)
    complete, text = describe_key_use(settings, keys.key_ids, use)
    if not complete:
        return Finding(CheckStatus.FAILED, "sealing", text)
    is_fine = settings.sealing == "seal" and not use.left
    return Finding(CheckStatus.OK if is_fine else CheckStatus.WARNING, "sealing", text)


async def _check_record_keys(settings: FacadeSettings) -> Finding | None:
    """Compares the ring with the codes of a sample of the events topic; None without a ring."""
    if (codes := record_codes(settings)) is None:
        return None
    usage = KeyUsage(codes)
    try:
        async with asyncio.timeout(TRY_S):
            async for record in read_sample(
                settings, settings.events_topic, settings.events_partitions
            ):
                usage.add(record)
    except (KafkaError, KafkaRefusedError, TimeoutError) as error:
        text = str(error) or f"{settings.events_topic} can't be read within {TRY_S:.0f} s"
        return Finding(CheckStatus.FAILED, "codes", text)
    status = CheckStatus.OK if usage.is_complete else CheckStatus.WARNING
    return Finding(status, "codes", f"{settings.events_topic}: {usage.describe()}")


async def _check_topic(settings: FacadeSettings, spec: TopicSpec) -> Finding:
    the_log = Log(settings, spec)
    try:
        await the_log.connect(within_s=TRY_S)
        found = await _replication(settings, spec.name)
    except (LogError, KafkaRefusedError) as error:
        return Finding(CheckStatus.FAILED, "topic", str(error))
    text = (
        f"{spec.name}: partitions={the_log.partitions} replicas={found.replicas} "
        f"min.insync.replicas={found.min_in_sync}"
    )
    status = CheckStatus.OK
    if found.faults:
        status = CheckStatus.FAILED
    elif found.risks:
        status = CheckStatus.WARNING
    return Finding(status, "topic", "\n".join([text, *found.faults, *found.risks]))


@retry(
    retry=retry_if_exception_type(LogUnavailableError),
    wait=wait_random_exponential(0.1, max=1),
    stop=stop_after_delay(TRY_S),
    reraise=True,
)
async def _replication(settings: FacadeSettings, topic: str) -> Replication:
    async with open_admin_client(settings) as admin:
        return await describe_replication(admin, topic, settings)


async def _check_append(settings: FacadeSettings) -> Finding:
    """Writes an empty record to the heartbeats topic, which every reader skips."""
    topic = settings.heartbeats_topic
    written = datetime.now(UTC)
    try:
        async with asyncio.timeout(TRY_S):
            recorded = await read_broker_time(settings, topic, record_codes(settings))
    except KafkaRefusedError as error:
        return Finding(CheckStatus.FAILED, "append", str(error))
    except (LogError, TimeoutError):
        text = f"{topic} took no record within {TRY_S:.0f} s. Check its brokers."
        return Finding(CheckStatus.FAILED, "append", text)
    difference = abs(offset(written, recorded, datetime.now(UTC)))
    seconds = difference.total_seconds()
    text = f"{topic} took a record; this machine's clock is {seconds:.0f} s from the broker's"
    if difference > MAX_SKEW:
        return Finding(CheckStatus.FAILED, "append", f"{text}. Set both clocks by NTP.")
    return Finding(CheckStatus.OK, "append", text)
