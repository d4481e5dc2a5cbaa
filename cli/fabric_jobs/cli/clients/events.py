"""A job's events, asked of a facade and read from the topic."""

import logging
from contextlib import aclosing
from datetime import UTC

from aiokafka.errors import KafkaError

from fabric_jobs.cli.clients.status_api import StatusApi
from fabric_jobs.cli.errors import InputError
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.kafka.history import Logged, NoSuchLogError, history
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError


async def logged_events(
    address: str, settings: KafkaSettings, job_id: str, *, lost_too: bool
) -> list[Logged]:
    """The events that made the job what it is now; those that did not, too, where asked for.

    Raises `StatusApiError`, and `InputError` where Kafka or the events can't be had.
    """
    # What the client has to say of a broker that is away is said by the error.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    async with StatusApi(address) as api:
        got = await api.get(job_id)
    created, place = got.job.create_time.ToDatetime(UTC), got.position
    reading = history(settings, got.job.job_id, created, place.partition, place.offset)
    found = list[Logged]()
    try:
        async with aclosing(reading) as batches:
            async for batch in batches:
                found += [one for one in batch.events if one.applied or lost_too]
                if found and found[-1].event.data.sequence == got.job.sequence and not lost_too:
                    break
    except (SettingsError, KafkaRefusedError) as error:
        raise InputError(str(error)) from error
    except NoSuchLogError as error:
        raise InputError(
            f"Kafka at {settings.kafka_bootstrap_servers} has no topic {settings.events_topic} "
            "with this job: the facade uses another, or this user of Kafka may not Read it. Name "
            "the facade's Kafka with --kafka, its topic with FABRIC_JOBS_EVENTS_TOPIC."
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise InputError(
            f"Kafka at {settings.kafka_bootstrap_servers} gave no answer "
            f"({type(error).__name__}). Name the facade's Kafka with --kafka; `fabric-jobs dev` "
            "says its own in its first line."
        ) from error
    if not any(one.applied and one.event.data.sequence == got.job.sequence for one in found):
        raise InputError(
            f"{settings.events_topic} no longer holds the job's first events. "
            "`fabric-jobs jobs get` shows what came of them."
        )
    return found
