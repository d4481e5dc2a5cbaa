"""The embedded broker: librdkafka's mock cluster, in this process, on a loopback port."""

from confluent_kafka import KafkaException, Producer

from fabric_jobs.cli.errors import CommandError

WARNING = (
    "The embedded broker forgets everything when it stops, and takes one executor. "
    "To keep jobs, name an Apache Kafka in FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
)

_ANSWER_S = 10
_WARNINGS_AND_WORSE = 4


class EmbeddedBroker:
    """Speaks the Kafka protocol at `address` for as long as this object lives."""

    def __init__(self) -> None:
        # The cluster belongs to a client of its own, and takes the place of the servers it names.
        self._owner = Producer(
            {
                "bootstrap.servers": "embedded:1",
                "test.mock.num.brokers": 1,
                # Each start is announced as a notice, which a user can do nothing with.
                "log_level": _WARNINGS_AND_WORSE,
            }
        )
        try:
            brokers = self._owner.list_topics(timeout=_ANSWER_S).brokers
        except KafkaException as error:
            raise CommandError(f"The embedded broker did not start: {error}") from error
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
