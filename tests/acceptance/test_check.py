"""`fabric-jobs check` on real parts that are right, wrong or missing."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fabric_jobs.cli.dev.issuer import Issuer
from tests.support.brokers import SERVERS, Cluster, raise_partitions
from tests.support.certificates import Authority
from tests.support.check_report import Report

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def environment(apache: Cluster, topic: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a deployment whose topics do not exist yet."""
    return apache.environment(topic) | {
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An authority on loopback."""
    with Issuer() as running:
        yield running


def test_check_with_missing_topics_fails_and_creates_them_with_create(
    environment: dict[str, str], topic: str
) -> None:
    """The first report shows the commands, `--create` makes the topics, the third finds them."""
    missing = Report(**environment)
    made = Report("--create", **environment)
    found = Report(**environment)

    assert missing.code == 1
    assert missing.verdicts("topic") == ["failed"] * 3
    assert f"kafka-topics.sh --bootstrap-server {environment[SERVERS]} --create" in missing.text
    assert missing.verdicts("append") == []
    for report in (made, found):
        assert (report.code, report.errors) == (0, "")
        assert report.verdicts("append") == ["ok"]
        assert f"{topic}: partitions=24 replicas=" in report.text


def test_check_creates_topics_where_the_setting_lets_the_facade_create_them(
    environment: dict[str, str],
) -> None:
    """`FABRIC_JOBS_CREATE_TOPICS` counts for the check as it does for the facade."""
    assert Report(**environment, FABRIC_JOBS_CREATE_TOPICS="true").code == 0


async def test_check_of_a_topic_that_would_lose_jobs_names_each_fault(
    apache: Cluster, environment: dict[str, str], topic: str
) -> None:
    """Each fault comes with the command that mends it."""
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


async def test_check_of_a_topic_whose_number_of_partitions_was_raised_is_a_warning(
    apache: Cluster, environment: dict[str, str], topic: str
) -> None:
    """Facades go on with the partitions that they had."""
    Report("--create", **environment)
    await raise_partitions(apache, topic, 30)

    report = Report(**environment)

    assert report.code == 0
    assert report.verdicts("topic")[0] == "warning"
    assert f"{topic}: partitions=30 " in report.text
    assert "facades use the first 24 (FABRIC_JOBS_EVENTS_PARTITIONS)" in report.text


def test_check_reads_the_keys_of_the_authority(environment: dict[str, str], issuer: Issuer) -> None:
    """The keys exist and can be used."""
    del environment["FABRIC_JOBS_AUTHENTICATION"]
    report = Report("--create", **environment, **issuer.settings)

    assert report.code == 0
    assert report.verdicts("authority") == ["ok"]


def test_check_with_the_authority_away_fails_and_still_tries_the_rest(
    environment: dict[str, str], issuer: Issuer
) -> None:
    """One report covers everything."""
    del environment["FABRIC_JOBS_AUTHENTICATION"]
    away = issuer.settings | {"FABRIC_JOBS_AUTHORITY": "http://127.0.0.1:1"}
    report = Report("--create", **environment, **away)

    assert report.code == 1
    assert report.verdicts("authority") == ["failed"]
    assert "from http://127.0.0.1:1/common/" in report.text
    assert report.verdicts("append") == ["ok"]


def test_check_shows_for_how_long_certificates_are_valid(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It shows the facade's certificate and that of the clients' authority."""
    authority = Authority(tmp_path / "authority")
    server = authority.server()
    files = {"CERT": server.cert, "KEY": server.key, "CLIENT_CA": authority.ca}
    environment |= {f"FABRIC_JOBS_GRPC_TLS_{name}_FILE": str(at) for name, at in files.items()}
    report = Report("--create", **environment, FABRIC_JOBS_GRPC_EXECUTORS="pool")

    assert report.code == 0
    assert report.verdicts("tls") == ["ok", "ok"]
    assert f"FABRIC_JOBS_GRPC_TLS_CERT_FILE={server.cert} is valid for 1.0 days" in report.text


def test_check_with_kafka_away_fails_at_once_and_names_the_setting(
    environment: dict[str, str],
) -> None:
    """A facade would wait a minute for Kafka; the check does not wait."""
    report = Report(**environment | {SERVERS: "127.0.0.1:1"})

    assert report.code == 1
    assert report.lines[-1][:2] == ("failed", "kafka")
    assert f"set {SERVERS}" in report.lines[-1][2]


def test_check_with_a_bad_setting_reports_only_the_settings() -> None:
    """The other checks depend on the settings. A misspelt name is a warning."""
    report = Report(FABRIC_JOBS_LEASE_S="soon", FABRIC_JOBS_AUTHENTIFICATION="off")

    assert report.code == 1
    assert report.verdicts("settings") == ["warning", "failed"]
    assert len(report.lines) == 2
    assert (
        "FABRIC_JOBS_LEASE_S='soon' is not a number from 1 to 3600, for example 30.0."
        in report.text
    )


def test_check_with_a_refused_opentelemetry_variable_fails() -> None:
    """A facade would end at its start because of this variable."""
    report = Report(FABRIC_JOBS_AUTHENTICATION="off", OTEL_TRACES_EXPORTER="zipkin")

    assert report.code == 1
    assert report.verdicts("settings") == ["failed"]
    assert "OTEL_TRACES_EXPORTER=zipkin: the only supported exporter is otlp" in report.text


def test_check_with_an_unusable_state_folder_fails(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The folder can't be created here because its parent is a file."""
    (tmp_path / "file").touch()
    report = Report(**environment | {"FABRIC_JOBS_STATE_DIR": str(tmp_path / "file" / "state")})

    assert report.code == 1
    assert report.verdicts("state") == ["failed"]


def test_check_on_the_embedded_broker_warns(embedded: Cluster, topic: str) -> None:
    """The embedded broker has no topic configuration to verify, and is for a first run only."""
    report = Report(**embedded.environment(topic), FABRIC_JOBS_AUTHENTICATION="off")

    assert report.code == 0
    assert report.verdicts("topic") == ["warning"]


def test_facade_with_an_unknown_argument_prints_its_usage() -> None:
    """A misspelt argument starts no replica."""
    done = subprocess.run(
        [sys.executable, "-m", "fabric_jobs.facade", "chekc"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "usage: python -m fabric_jobs.facade [check [--create]]\n"


@pytest.mark.parametrize(
    ("settings", "verdict", "words"),
    [
        ({"FABRIC_JOBS_RECORD_KEYS": "old:c2hvcnQ="}, "failed", "The key old has 5 bytes"),
        ({"FABRIC_JOBS_RECORD_CODES": "accept"}, "failed", "needs FABRIC_JOBS_RECORD_KEYS"),
        ({"FABRIC_JOBS_RECORD_KEYS": f"new:{KEY}"}, "ok", "is refused; keys: new"),
        (
            {"FABRIC_JOBS_RECORD_KEYS": f"new:{KEY}", "FABRIC_JOBS_RECORD_CODES": "accept"},
            "warning",
            "Set FABRIC_JOBS_RECORD_CODES=require",
        ),
    ],
)
def test_check_reports_record_keys(
    environment: dict[str, str], settings: dict[str, str], verdict: str, words: str
) -> None:
    """A key is never shown."""
    report = Report("--create", **environment, **settings)

    assert words in report.text
    assert report.code == (1 if verdict == "failed" else 0)
    if verdict == "failed":
        assert report.verdicts("settings") == ["failed"]
    else:
        # The second one is about the records of the topic.
        assert report.verdicts("codes") == [verdict, "ok"]
    assert KEY not in report.text
    assert "c2hvcnQ" not in report.text
