"""Fixtures of all tests: brokers, a new topic for each test, Node, and a browser."""

import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabric_jobs.facade.replica import Store
from fabric_jobs.runtime.kafka.brokers import APACHE, EMBEDDED
from tests.support import node_examples
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.brokers import SERVERS, Cluster
from tests.support.embedded_broker import run_embedded_broker
from tests.support.requirements import missing, no_apache_kafka
from tests.support.secured_kafka import SecuredKafka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the simulated worlds first, because no other file takes so long on one core."""
    items.sort(key=lambda item: "simulation" not in item.path.parts)


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker of Apache Kafka, or the cluster that the environment names."""
    if servers := os.environ.get(SERVERS):
        yield Cluster(servers, APACHE)
        return
    if reason := why_unavailable():
        no_apache_kafka(f"{reason}, or set {SERVERS}")
    with ApacheKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield Cluster(kafka.bootstrap_servers, APACHE)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """One broker of Apache Kafka with authentication and ACLs."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with SecuredKafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def embedded() -> Iterator[Cluster]:
    """The embedded broker."""
    with run_embedded_broker() as address:
        yield Cluster(address, EMBEDDED)


@pytest.fixture(params=["embedded", "apache"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each broker in turn, for code that must run on both."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the examples, with their npm packages installed."""
    if reason := node_examples.why_unavailable() or node_examples.install():
        missing("Node", reason)
    return node_examples.EXAMPLES


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the installed Chromium; none is downloaded."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("Chromium", "no chromium on PATH: install your system's package of it")
    return found


@pytest.fixture(autouse=True)
def close_stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the database of each store that the test opened.

    From Python 3.13 on, one that is left open is a warning, and it fails whichever test runs when
    it is collected.
    """
    opened: list[Store] = []
    init = Store.__init__

    def record(store: Store, *arguments: Any) -> None:
        init(store, *arguments)
        opened.append(store)

    monkeypatch.setattr(Store, "__init__", record)
    yield
    for store in opened:
        store._writer.close()
        store._db.close()


@pytest.fixture
def ipv6_port() -> int:
    """A free port of ::1, if the machine has IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as trial:
            port: int = trial.getsockname()[1]
    except OSError as error:
        missing("IPv6", f"no IPv6 here: {error}")
    return port


@pytest.fixture
def topic() -> str:
    """The name of a new topic."""
    return f"test.{uuid.uuid4()}"
