"""The table of broker capabilities."""

from fabric_jobs.runtime.kafka.brokers import APACHE, BROKERS, EMBEDDED
from fabric_jobs.runtime.settings import KafkaSettings, from_env


def test_brokers_are_found_by_the_value_of_their_setting() -> None:
    """The setting `kafka_broker` selects the broker."""
    assert BROKERS == {"apache": APACHE, "embedded": EMBEDDED}
    assert from_env(KafkaSettings, {"FABRIC_JOBS_KAFKA_BROKER": "embedded"}).broker is EMBEDDED


def test_embedded_broker_has_none_of_the_capabilities_of_apache_kafka() -> None:
    """Tests that need a capability run on Apache Kafka."""
    capabilities = ("topic_admin", "record_time", "keeps_log", "shared_pools")
    assert all(getattr(APACHE, name) for name in capabilities)
    assert not any(getattr(EMBEDDED, name) for name in capabilities)
