"""`fabric-jobs check`: run as its user runs it, on real parts that are there, wrong or away."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fabric_jobs.cli.dev.issuer import Issuer
from tests.support.brokers import SERVERS, Cluster
from tests.support.certificates import Authority
from tests.support.command import COMMAND, ENVIRONMENT

CHECK = [COMMAND, "check"]
#: What a line of the report begins with.
LINE = re.compile(r"(ok|warning|failed) +(\w+) +(.*)")


class Report:
    """What the command printed and how it ended."""

    def __init__(self, *options: str, **environment: str) -> None:
        done = subprocess.run(
            [*CHECK, *options],
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.code, self.text, self.errors = done.returncode, done.stdout, done.stderr
        self.lines = [match.groups() for match in map(LINE.match, self.text.splitlines()) if match]

    def verdicts(self, subject: str) -> list[str]:
        """What was found about it, in order."""
        return [verdict for verdict, about, _ in self.lines if about == subject]


@pytest.fixture
def environment(apache: Cluster, topic: str, tmp_path: Path) -> dict[str, str]:
    """A deployment to be, with topics that nobody has made yet."""
    return apache.environment(topic) | {
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An authority on loopback."""
    with Issuer() as running:
        yield running


def test_missing_topics_fail_and_are_made_where_asked(
    environment: dict[str, str], topic: str
) -> None:
    """The first report says how to make them, the second has made them, the third finds them."""
    missing = Report(**environment)
    made = Report("--create", **environment)
    found = Report(**environment)

    assert missing.code == 1
    assert missing.verdicts("topic") == ["failed", "failed"]
    assert f"kafka-topics.sh --bootstrap-server {environment[SERVERS]} --create" in missing.text
    assert missing.verdicts("append") == []
    for report in (made, found):
        assert (report.code, report.errors) == (0, "")
        assert report.verdicts("append") == ["ok"]
        assert f"{topic}: partitions=24 replicas=" in report.text


def test_topics_are_made_where_the_facade_would_make_them(environment: dict[str, str]) -> None:
    """The setting says so for both."""
    assert Report(**environment, FABRIC_JOBS_CREATE_TOPICS="true").code == 0


async def test_a_topic_that_would_lose_jobs_fails(
    apache: Cluster, environment: dict[str, str], topic: str
) -> None:
    """Each fault of it is told, with the command that mends it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=apache.bootstrap_servers)
    await admin.start()
    try:
        configs = {"cleanup.policy": "compact", "retention.ms": "1000"}
        await admin.create_topics([NewTopic(topic, 3, 1, topic_configs=configs)])
    finally:
        await admin.close()

    report = Report("--create", **environment)

    assert report.code == 1
    assert report.verdicts("topic")[0] == "failed"
    assert "It has 3 partitions and 24 are expected" in report.text
    for config in ("cleanup.policy=delete", "retention.ms=", "message.timestamp.type="):
        assert f"--add-config {config}" in report.text


def test_the_authority_is_asked_for_its_keys(environment: dict[str, str], issuer: Issuer) -> None:
    """They are there, and can be used."""
    del environment["FABRIC_JOBS_AUTHENTICATION"]
    report = Report("--create", **environment, **issuer.settings)

    assert report.code == 0
    assert report.verdicts("authority") == ["ok"]


def test_an_authority_that_is_away_fails_and_the_rest_is_still_tried(
    environment: dict[str, str], issuer: Issuer
) -> None:
    """One report tells of everything."""
    del environment["FABRIC_JOBS_AUTHENTICATION"]
    away = issuer.settings | {"FABRIC_JOBS_AUTHORITY": "http://127.0.0.1:1"}
    report = Report("--create", **environment, **away)

    assert report.code == 1
    assert report.verdicts("authority") == ["failed"]
    assert "from http://127.0.0.1:1/common/" in report.text
    assert report.verdicts("append") == ["ok"]


def test_certificates_are_told_with_the_time_that_they_hold(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The facade's own, and that of the authority of its clients."""
    authority = Authority(tmp_path / "authority")
    server = authority.server()
    files = {"CERT": server.cert, "KEY": server.key, "CLIENT_CA": authority.ca}
    environment |= {f"FABRIC_JOBS_GRPC_TLS_{name}_FILE": str(at) for name, at in files.items()}
    report = Report("--create", **environment, FABRIC_JOBS_GRPC_EXECUTORS="pool")

    assert report.code == 0
    assert report.verdicts("tls") == ["ok", "ok"]
    assert f"FABRIC_JOBS_GRPC_TLS_CERT_FILE={server.cert} is valid for 1.0 days" in report.text


def test_a_kafka_that_is_away_fails_by_its_setting(environment: dict[str, str]) -> None:
    """At once, where a facade would wait a minute for it."""
    report = Report(**environment | {SERVERS: "127.0.0.1:1"})

    assert report.code == 1
    assert report.lines[-1][:2] == ("failed", "kafka")
    assert f"set {SERVERS}" in report.lines[-1][2]


def test_a_setting_that_cannot_be_used_is_all_that_is_told() -> None:
    """The rest depends on it; one that is only misspelled is a warning."""
    report = Report(FABRIC_JOBS_LEASE_S="soon", FABRIC_JOBS_AUTHENTIFICATION="off")

    assert report.code == 1
    assert report.verdicts("settings") == ["warning", "failed"]
    assert len(report.lines) == 2
    assert (
        "FABRIC_JOBS_LEASE_S='soon' is not a number from 1 to 3600, for example 30.0."
        in report.text
    )


def test_a_variable_of_opentelemetry_that_a_facade_refuses_fails() -> None:
    """It would end at its start."""
    report = Report(FABRIC_JOBS_AUTHENTICATION="off", OTEL_TRACES_EXPORTER="zipkin")

    assert report.code == 1
    assert report.verdicts("settings") == ["failed"]
    assert "OTEL_TRACES_EXPORTER=zipkin: the only supported exporter is otlp" in report.text


def test_a_state_folder_that_cannot_be_written_to_fails(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Here it stands behind a file."""
    (tmp_path / "file").touch()
    report = Report(**environment | {"FABRIC_JOBS_STATE_DIR": str(tmp_path / "file" / "state")})

    assert report.code == 1
    assert report.verdicts("state") == ["failed"]


def test_the_embedded_broker_is_warned_of(embedded: Cluster, topic: str) -> None:
    """It can't be looked at, and is for a first run."""
    report = Report(**embedded.environment(topic), FABRIC_JOBS_AUTHENTICATION="off")

    assert report.code == 0
    assert report.verdicts("topic") == ["warning"]


def test_what_the_facade_does_not_know_is_refused() -> None:
    """A word too many is no replica."""
    done = subprocess.run(
        [sys.executable, "-m", "fabric_jobs.facade", "chekc"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "usage: python -m fabric_jobs.facade [check [--create]]\n"
