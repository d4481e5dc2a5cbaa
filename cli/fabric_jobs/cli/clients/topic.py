"""Reads the events of one job from the topic."""

import logging
from contextlib import aclosing
from datetime import UTC

from aiokafka.errors import KafkaError

from fabric_jobs.cli.clients.status_api import StatusApi
from fabric_jobs.cli.errors import InputError
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.kafka.history import HistoryEvent, NoSuchLogError, read_history
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError


async def read_events(
    address: str, settings: KafkaSettings, job_id: str, *, include_ignored: bool
) -> list[HistoryEvent]:
    """Returns the job's events that were applied, and on request those that were ignored.

    The facade at the gRPC address names the job's partition and first offset. Raises
    `StatusApiError`, and `InputError` if Kafka does not answer or no longer has the events.
    """
    # aiokafka's log is silenced, because an error below says the same.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    async with StatusApi(address) as api:
        got = await api.get(job_id)
    created, position = got.job.create_time.ToDatetime(UTC), got.position
    reading = read_history(settings, got.job.job_id, created, position.partition, position.offset)
    found = list[HistoryEvent]()
    try:
        async with aclosing(reading) as batches:
            async for batch in batches:
                found += [one for one in batch.events if one.applied or include_ignored]
                newest = found[-1].event.data.sequence if found else 0
                if newest == got.job.sequence and not include_ignored:
                    break
    except (SettingsError, KafkaRefusedError) as error:
        raise InputError(str(error)) from error
    except NoSuchLogError as error:
        raise InputError(
            f"Kafka at {settings.kafka_bootstrap_servers} has no topic {settings.events_topic} "
            "with this job. Either the facade uses another topic, or the Kafka user may not Read "
            "this one. Name the facade's Kafka with --kafka and its topic with "
            "FABRIC_JOBS_EVENTS_TOPIC."
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise InputError(
            f"Kafka at {settings.kafka_bootstrap_servers} gave no answer "
            f"({type(error).__name__}). Name the facade's Kafka with --kafka; the first line of "
            "`fabric-jobs dev` shows it."
        ) from error
    if not any(one.applied and one.event.data.sequence == got.job.sequence for one in found):
        raise InputError(
            f"{settings.events_topic} no longer holds the job's first events. "
            "`fabric-jobs jobs get` shows the job's current state."
        )
    return found
