"""Checks Kafka for `python -m fabric_jobs.facade check`: brokers, topics, keys and an append."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiokafka.errors import KafkaError
from msgspec.structs import replace
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fabric_jobs.facade.clock import MAX_SKEW, offset
from fabric_jobs.facade.log import (
    Log,
    LogError,
    LogUnavailableError,
    Replication,
    TopicSpec,
    describe_replication,
    explain_unused,
    open_admin_client,
    read_broker_time,
    read_sample,
)
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.finding import CheckStatus, Finding
from fabric_jobs.facade.startup.record_keys import KeyUsage
from fabric_jobs.facade.startup.sealing_keys import describe_key_use, find_key_use
from fabric_jobs.facade.startup.security import record_codes, sealer
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError

#: Seconds that one check of Kafka may take.
TRY_S = 10.0


async def check_kafka(settings: FacadeSettings, *, create: bool) -> AsyncIterator[Finding]:
    """Checks the brokers, then each topic and the keys of its records, then an append.

    If `create` is true, the check creates the topics that are missing.
    """
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
        f"{spec.name}: partitions={found.partitions} replicas={found.replicas} "
        f"min.insync.replicas={found.min_in_sync}"
    )
    risks = found.risks
    if found.partitions > the_log.partitions:
        risks.append(explain_unused(found.partitions, spec))
    status = CheckStatus.OK
    if found.faults:
        status = CheckStatus.FAILED
    elif risks:
        status = CheckStatus.WARNING
    return Finding(status, "topic", "\n".join([text, *found.faults, *risks]))


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
