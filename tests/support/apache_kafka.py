"""A real Apache Kafka for tests: brokers run from their published jars by the system's Java."""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

from jgo.config import GlobalSettings
from jgo.maven import MavenContext

DEFAULT_VERSION = "4.4.0"
#: The version of Apache Kafka; the tests pass on 3.9 and on 4.
VERSION = os.environ.get("APACHE_KAFKA_VERSION", DEFAULT_VERSION)

HOST = "127.0.0.1"
_JAVA_MAJOR = 17
_LOGGER = "org.slf4j:slf4j-simple:1.7.36"  # of the slf4j-api that Kafka 3.9 and 4.x depend on
_CLUSTER_ID = "ZmFicmljLWpvYnMtdGVzdA"  # Kafka takes 16 bytes in base64
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_DOWNLOAD_SECONDS = 60
_LOG_TAIL = 4000
#: The JVM's options. A test's broker lives for seconds, so they favour a fast start over speed.
FAST_START = ("-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_JAVA = [
    "java",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]
# However the tests end, kill -9 included, Linux then kills their brokers. It does so as soon as
# the *thread* that started a broker ends, and the thread of a test may end while its broker is
# still wanted: the one thread of this executor lives as long as the process.
ENDED_WITH_TESTS = ["setpriv", "--pdeathsig", "KILL"] if sys.platform == "linux" else []
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apache-kafka")


class ApacheKafka:
    """N brokers of a real Apache Kafka in a folder, on loopback ports, ended with the tests.

    Nodes are numbered from 0, here as in Kafka. Each is a broker and a voting controller, so
    one of three may be lost; of one or two, the loss of any halts the cluster until a restart.
    """

    #: More options for the format of the folders.
    _formatting: Sequence[str] = ()

    def __init__(
        self, folder: Path, *, brokers: int = 1, jvm: tuple[str, ...] = FAST_START
    ) -> None:
        self._folder = folder
        self._jvm = jvm
        self._reservations = [reserve_port() for _ in range(2 * brokers)]
        ports: list[int] = [reserved.getsockname()[1] for reserved in self._reservations]
        self._ports, self._controller_ports = ports[:brokers], ports[brokers:]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.bootstrap_servers = ",".join(f"{HOST}:{port}" for port in self._ports)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Format the folder, launch every broker and wait until each one answers and knows all."""
        nodes = range(len(self._ports))
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for node in nodes:
                settings = self._settings(node).items()
                self._properties(node).write_text("".join(f"{k}={v}\n" for k, v in settings))
                format_ = ["format", "-t", _CLUSTER_ID, *self._formatting]
                self._launch(node, "kafka.tools.StorageTool", *format_, "-c")
            for node in nodes:
                self._await(node, partial(_succeeded, self._processes[node]))
            self.restart(*nodes)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every broker for good: nothing reads their data after it, so by kill -9."""
        for node in self._processes:
            self.kill(node)
        for reserved in self._reservations:
            reserved.close()

    def kill(self, node: int) -> None:
        """End one broker by kill -9, and return once it has ended."""
        self._processes[node].kill()
        self._processes[node].wait()

    def restart(self, *nodes: int) -> None:
        """Start brokers again on their folders and ports, and wait until they answer.

        Restart in one call the brokers that only together hold the majority of controllers.
        """
        for node in nodes:
            self.kill(node)
            self._launch(node, "kafka.Kafka")
        known = [_listing(node, self._ports[node]) for node in nodes]
        for node in nodes:
            self._await(node, partial(_answers, self._ports[node], known))

    def pause(self, node: int) -> None:
        """Freeze one broker by SIGSTOP: its connections stay open and it is silent."""
        self._processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Resume a paused broker by SIGCONT."""
        self._processes[node].send_signal(signal.SIGCONT)

    def _launch(self, node: int, main_class: str, *arguments: str) -> None:
        java = [*ENDED_WITH_TESTS, *java_command(jvm=self._jvm), main_class]
        with self._log(node).open("ab") as log:
            self._processes[node] = _launcher.submit(
                subprocess.Popen[bytes],
                [*java, *arguments, str(self._properties(node))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            ).result()

    def _await(self, node: int, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not done():
            failed = self._processes[node].poll()
            if failed or time.monotonic() > deadline:
                fate = f"ended with {failed}" if failed else f"not up in {_START_SECONDS:.0f} s"
                tail = self._log(node).read_text(errors="replace")[-_LOG_TAIL:]
                raise RuntimeError(f"Apache Kafka {VERSION}, node {node} {fate}:\n{tail}")
            time.sleep(_POLL_SECONDS)

    def _properties(self, node: int) -> Path:
        return self._folder / f"broker-{node}.properties"

    def _log(self, node: int) -> Path:
        return self._folder / f"broker-{node}.log"

    def _settings(self, node: int) -> dict[str, object]:
        controllers = enumerate(self._controller_ports)
        replicas = min(3, len(self._ports))
        return {
            "node.id": node,
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(f"{n}@{HOST}:{port}" for n, port in controllers),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self._ports[node]},"
            f"CONTROLLER://{HOST}:{self._controller_ports[node]}",
            "log.dirs": self._folder / f"broker-{node}",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 3,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": min(2, replicas),
            "num.network.threads": 1,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,  # 128 MiB of the heap by default
            # Until a killed broker's session ends, its partitions get no other leader, and
            # the controller refuses the restarted broker.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }


def why_unavailable() -> str | None:
    """Why this machine can't run Apache Kafka, or None."""
    if shutil.which("java") is None:
        return f"no Java {_JAVA_MAJOR}+ on PATH: install one"
    banner = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', banner)
    if found is None or int(found[1]) < _JAVA_MAJOR:
        return f"the Java on PATH is not {_JAVA_MAJOR}+: install one"
    return None


def reserve_port() -> socket.socket:
    """A socket bound to a free port and not listening.

    While it is open, no other process is given the port, also while the program that listens on
    it is down. Only a process that asks for this very port with SO_REUSEADDR may listen on it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HOST, 0))
    return reserved


def java_command(*artifacts: str, jvm: tuple[str, ...] = FAST_START) -> list[str]:
    """The Java command with the jars of a broker and of more artifacts, without a main class."""
    return [*_JAVA, *jvm, "-cp", ":".join(map(str, _jars(*artifacts)))]


def _jars(*artifacts: str) -> list[Path]:
    """The jars of a broker and of more artifacts, downloaded once per machine."""
    cache = GlobalSettings.load().cache_dir / "apache-kafka"
    cache.mkdir(parents=True, exist_ok=True)
    kafka = [f"org.apache.kafka:{artifact}:{VERSION}" for artifact in ("kafka_2.13", *artifacts)]
    coordinates = [*kafka, _LOGGER]
    complete = cache / "+".join(coordinates).replace(":", "_")
    # The resolver trusts each file that it finds, also an incomplete download. So one process at a
    # time fills a separate folder, which gets its name once it is complete.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            partial_folder = cache / "partial"
            shutil.rmtree(partial_folder, ignore_errors=True)
            maven = MavenContext(repo_cache=partial_folder, timeout=_DOWNLOAD_SECONDS)
            wanted = [maven.create_dependency(coordinate) for coordinate in coordinates]
            inputs, transitive = maven.resolver.resolve(wanted)
            for dependency in [*inputs, *transitive]:
                dependency.artifact.resolve()
            partial_folder.rename(complete)
    return sorted(complete.rglob("*.jar"))


def _succeeded(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() == 0


def _answers(port: int, listings: list[bytes]) -> bool:
    """Whether the broker at a port answers to Metadata v1 for no topics, with these brokers."""
    metadata, v1, correlation, no_client_id, no_topics = 3, 1, 0, -1, 0
    request = struct.pack(">hhihi", metadata, v1, correlation, no_client_id, no_topics)
    try:
        with (
            socket.create_connection((HOST, port), _ANSWER_SECONDS) as connection,
            connection.makefile("rb") as stream,
        ):
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(size)
    except (OSError, struct.error):
        return False
    return all(listing in answer for listing in listings)


def _listing(node: int, port: int) -> bytes:
    """A live broker as it is encoded in an answer to Metadata: node id, host and port."""
    return struct.pack(f">ih{len(HOST)}si", node, len(HOST), HOST.encode(), port)
