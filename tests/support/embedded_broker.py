"""The embedded broker of `fabric-jobs dev`, librdkafka's mock cluster, without its join delay.

The mock cluster delays the first join of each consumer group by 3 seconds. Only librdkafka's C API
can change that, so this module calls the C API in the library that confluent-kafka carries.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import cimpl

_PRODUCER = 0
_CONFIGURATION = {
    b"bootstrap.servers": b"ignored:1",
    b"test.mock.num.brokers": b"1",
    b"log_level": b"0",
}


@contextmanager
def run_embedded_broker() -> Iterator[str]:
    """Runs a broker in this process until the block ends. Yields its address, HOST:PORT."""
    librdkafka = ctypes.CDLL(cimpl.__file__)
    librdkafka.rd_kafka_conf_new.restype = ctypes.c_void_p
    librdkafka.rd_kafka_new.restype = ctypes.c_void_p
    librdkafka.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
    librdkafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    error = ctypes.create_string_buffer(512)

    configuration = ctypes.c_void_p(librdkafka.rd_kafka_conf_new())
    for name, value in _CONFIGURATION.items():
        result = librdkafka.rd_kafka_conf_set(configuration, name, value, error, len(error))
        assert result == 0, error.value
    owner = ctypes.c_void_p(librdkafka.rd_kafka_new(_PRODUCER, configuration, error, len(error)))
    assert owner, error.value
    try:
        cluster = ctypes.c_void_p(librdkafka.rd_kafka_handle_mock_cluster(owner))
        librdkafka.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
        yield librdkafka.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    finally:
        librdkafka.rd_kafka_destroy(owner)
