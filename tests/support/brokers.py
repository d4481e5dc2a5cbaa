"""The address of a running Kafka, as programs and tests take it."""

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from msgspec import Struct

from fabric_jobs.runtime.kafka.brokers import Broker

#: The variable that names the brokers, to the programs and to the tests alike.
SERVERS = "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS"


class Cluster(Struct, frozen=True):
    """A running broker, or several."""

    bootstrap_servers: str
    broker: Broker

    def environment(self, topic: str) -> dict[str, str]:
        """The settings of a program for this cluster and topic, with a pool of the topic's own.

        In a shared pool, an executor would wait for members that earlier tests have killed.
        """
        return {
            SERVERS: self.bootstrap_servers,
            "FABRIC_JOBS_KAFKA_BROKER": self.broker.name,
            "FABRIC_JOBS_EVENTS_TOPIC": topic,
            "FABRIC_JOBS_HEARTBEATS_TOPIC": f"{topic}.heartbeats",
            "FABRIC_JOBS_CONTROLS_TOPIC": f"{topic}.controls",
            "FABRIC_JOBS_GRANTS_TOPIC": f"{topic}.grants",
            "FABRIC_JOBS_POOL": topic,
        }


async def raise_partitions(cluster: Cluster, topic: str, count: int) -> None:
    """Raises the topic's number of partitions, as an operator may do by mistake."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(count)})
    finally:
        await admin.close()


async def delete_topic(cluster: Cluster, topic: str) -> None:
    """Deletes the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
