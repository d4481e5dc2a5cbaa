"""What a power loss leaves on a broker's disk."""

import struct
from pathlib import Path

from tests.chaos.kafka import ChaosKafka, truncate


def batch(offset: int, newest_ms: int, size: int = 80) -> bytes:
    """A batch of records with the fields that the cut reads."""
    head = struct.pack(">qi", offset, size - 12)
    return head + bytes(35 - len(head)) + struct.pack(">q", newest_ms) + bytes(size - 43)


def test_segment_is_cut_before_its_first_batch_of_the_lost_time(tmp_path: Path) -> None:
    """A batch is lost as a whole, and so is all that follows it."""
    segment = tmp_path / "0.log"
    kept = batch(0, 1000) + batch(1, 1999, size=200)
    segment.write_bytes(kept + batch(2, 2000) + batch(3, 1500))

    truncate(segment, 2000)

    assert segment.read_bytes() == kept


def test_segment_of_older_batches_stays_as_it_is(tmp_path: Path) -> None:
    """The zeros behind the batches stay too; Apache Kafka writes them ahead."""
    segment = tmp_path / "0.log"
    segment.write_bytes(batch(0, 1000))

    truncate(segment, 2000)

    assert segment.read_bytes() == batch(0, 1000)


def test_brokers_name_the_addresses_that_are_advertised(tmp_path: Path) -> None:
    """Clients of the listener are sent through the proxies; others are not."""
    kafka = ChaosKafka(tmp_path, ["FACADE0"])
    try:
        kafka.advertised["FACADE0"] = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
        settings = kafka._settings(1)
    finally:
        kafka.stop()

    advertised = str(settings["advertised.listeners"]).split(",")
    assert "FACADE0://127.0.0.1:2" in advertised
    assert advertised[0] == f"PLAINTEXT://{kafka.bootstrap_servers.split(',')[1]}"
    assert f"FACADE0://{kafka.addresses['FACADE0'][1]}" in str(settings["listeners"])
