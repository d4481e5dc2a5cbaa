"""The embedded broker: librdkafka's mock cluster, in this process, on a loopback port."""

from confluent_kafka import KafkaException, Producer

from fabric_jobs.cli.errors import CommandError

WARNING = (
    "The embedded broker loses all jobs when it stops, and supports one executor in each pool. "
    "To keep jobs, name an Apache Kafka in FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
)

_START_TIMEOUT_S = 10
#: The syslog level of warnings: librdkafka then logs no notice of each start of the mock cluster.
_LOG_LEVEL = 4


class EmbeddedBroker:
    """A broker that speaks the Kafka protocol at `address` until this object is deleted."""

    def __init__(self) -> None:
        # The mock cluster belongs to this client, and replaces the servers that the client names.
        self._owner = Producer(
            {
                "bootstrap.servers": "embedded:1",
                "test.mock.num.brokers": 1,
                "log_level": _LOG_LEVEL,
            }
        )
        try:
            brokers = self._owner.list_topics(timeout=_START_TIMEOUT_S).brokers
        except KafkaException as error:
            raise CommandError(f"The embedded broker did not start: {error}") from error
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
