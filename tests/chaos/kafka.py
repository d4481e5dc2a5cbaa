"""Apache Kafka with a network path of its own for each facade, and between the brokers."""

import json
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random

from tests.support.apache_kafka import HOST, ApacheKafka, java_command, reserve_port

BROKERS = 3
NODES = range(BROKERS)
#: The listener by which brokers fetch from each other.
BETWEEN_BROKERS = "BROKERS"
_REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
_ELECT = "org.apache.kafka.tools.LeaderElectionCommand"
_COMMAND_S = 60
#: A batch of records begins with its first offset and the length of the rest of the batch.
_BATCH_HEAD = struct.Struct(">qi")
#: The latest record time of a batch, in milliseconds, and its place in the batch.
_MAX_TIMESTAMP = struct.Struct(">q")
_MAX_TIMESTAMP_AT = 35


class ChaosKafka(ApacheKafka):
    """Three brokers with more listeners than the one at `bootstrap_servers`.

    A client that connects to an address of a listener is sent to the addresses in
    `advertised[listener]`, one for each broker. Put the proxies' addresses there before the start.
    """

    def __init__(self, folder: Path, listeners: list[str]) -> None:
        super().__init__(folder, brokers=BROKERS)
        self.advertised: dict[str, list[str]] = {}
        #: The broker's own address of each listener, by broker.
        self.addresses: dict[str, list[str]] = {}
        for listener in [*listeners, BETWEEN_BROKERS]:
            reserved = [reserve_port() for _ in NODES]
            self._reservations += reserved
            self.addresses[listener] = [f"{HOST}:{one.getsockname()[1]}" for one in reserved]
            self.advertised[listener] = list(self.addresses[listener])

    def lose_power(self, nodes: Iterable[int], since: float) -> None:
        """kill -9, and the loss of the batches since this time, which no disk has got yet.

        The metadata of the cluster stays, because the brokers flush it with each write.
        """
        nodes = list(nodes)
        for node in nodes:
            self.kill(node)
        for node in nodes:
            self._truncate(node, int(since * 1000))

    def reassign(self, topics: Mapping[str, int], replicas: int, dice: Random) -> None:
        """Moves each partition to so many random brokers; the first of them is to lead.

        `topics` has the number of partitions of each topic.
        """
        wanted = {
            "version": 1,
            "partitions": [
                {"topic": topic, "partition": each, "replicas": dice.sample(NODES, replicas)}
                for topic, partitions in topics.items()
                for each in range(partitions)
            ],
        }
        file = self._folder / "reassignment.json"
        file.write_text(json.dumps(wanted))
        self._command(_REASSIGN, "--reassignment-json-file", str(file), "--execute", "--additional")

    def elect_leaders(self) -> None:
        """Makes the first replica of each partition its leader, where it is not and is in sync.

        The command fails if one of them is not in sync yet. This is no failure here.
        """
        options = ["--election-type", "PREFERRED", "--all-topic-partitions"]
        self._command(_ELECT, *options, check=False)

    def _truncate(self, node: int, since_ms: int) -> None:
        for segment in (self._folder / f"broker-{node}").glob("*/*.log"):
            if not segment.parent.name.startswith("__cluster_metadata"):
                truncate(segment, since_ms)

    def _command(self, tool: str, *options: str, check: bool = True) -> None:
        """Runs one of Apache Kafka's own tools."""
        command = [*java_command("kafka-tools"), tool, *options]
        subprocess.run(
            [*command, "--bootstrap-server", self.bootstrap_servers],
            check=check,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_S,
        )

    def _settings(self, node: int) -> dict[str, object]:
        settings = super()._settings(node)
        plain = ["PLAINTEXT", "CONTROLLER", *self.addresses]
        own = f"PLAINTEXT://{HOST}:{self._ports[node]}"
        return settings | {
            "listeners": ",".join(
                [
                    str(settings["listeners"]),
                    *(f"{name}://{each[node]}" for name, each in self.addresses.items()),
                ]
            ),
            "advertised.listeners": ",".join(
                [own, *(f"{name}://{each[node]}" for name, each in self.advertised.items())]
            ),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in plain),
            "inter.broker.listener.name": BETWEEN_BROKERS,
            # The controllers notice a lost broker within the first time. If the active controller
            # is lost too, the second time passes before it. docs/deploy.md names both settings.
            "broker.session.timeout.ms": 2000,
            "controller.quorum.fetch.timeout.ms": 1000,
        }


def truncate(segment: Path, since_ms: int) -> None:
    """Cuts a segment before its first batch of this time or later."""
    data = segment.read_bytes()
    at = 0
    while at + _MAX_TIMESTAMP_AT + _MAX_TIMESTAMP.size <= len(data):
        _, length = _BATCH_HEAD.unpack_from(data, at)
        (newest_ms,) = _MAX_TIMESTAMP.unpack_from(data, at + _MAX_TIMESTAMP_AT)
        if not length or newest_ms >= since_ms:
            break
        at += _BATCH_HEAD.size + length
    with segment.open("r+b") as file:
        file.truncate(at)
