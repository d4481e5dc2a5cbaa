"""Settings from the environment."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from fabric_jobs.brokers import APACHE, BROKERS, EMBEDDED
from fabric_jobs.settings import PREFIX, KafkaSettings, SettingsError, from_env, host_port
from fabric_jobs.topics import EVENTS_TOPIC
from facade.settings import FacadeSettings


class Example(KafkaSettings, frozen=True, kw_only=True):
    """One field of each kind that the programs use."""

    text: str = "default"
    flag: bool = False
    count: Annotated[int, Meta(ge=1)] = 7
    seconds: Annotated[float, Meta(gt=0)] = 1.5
    folder: Path | None = None
    words: tuple[str, ...] = ("one",)


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing need be set for a first run on one machine."""
    settings = from_env(KafkaSettings, {})
    assert settings == KafkaSettings()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert (settings.events_topic, settings.broker) == (EVENTS_TOPIC, APACHE)


def test_each_field_is_a_variable_by_its_name_in_capitals() -> None:
    """The value is taken as the field's type."""
    environ = {
        "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092",
        "FABRIC_JOBS_KAFKA_BROKER": "embedded",
        "FABRIC_JOBS_TEXT": "set",
        "FABRIC_JOBS_FLAG": "true",
        "FABRIC_JOBS_COUNT": "12",
        "FABRIC_JOBS_SECONDS": "0.25",
        "FABRIC_JOBS_FOLDER": "/var/lib/fabric-jobs",
        "FABRIC_JOBS_WORDS": "two, three",
    }
    assert from_env(Example, environ) == Example(
        kafka_bootstrap_servers="kafka-1:9092,kafka-2:9092",
        kafka_broker="embedded",
        text="set",
        flag=True,
        count=12,
        seconds=0.25,
        folder=Path("/var/lib/fabric-jobs"),
        words=("two", "three"),
    )
    assert PREFIX == "FABRIC_JOBS_"


def test_an_empty_value_stands_for_the_default() -> None:
    """A variable that is set to nothing, as compose files do, is as if it were not set."""
    environ = {f"FABRIC_JOBS_{name}": "" for name in ("TEXT", "COUNT", "KAFKA_BROKER", "FOLDER")}
    assert from_env(Example, environ) == Example()


def test_other_variables_are_passed_by() -> None:
    """Neither another program's variable nor one without the prefix is read."""
    environ = {"TEXT": "x", "fabric_jobs_text": "x", "FABRIC_JOBS_OTHER": "x", "PATH": "/bin"}
    assert from_env(Example, environ) == Example()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COUNT", "many"),
        ("COUNT", "0"),
        ("COUNT", "1.5"),
        ("SECONDS", "0"),
        ("SECONDS", "-1"),
        ("SECONDS", "soon"),
        ("FLAG", "perhaps"),
        ("KAFKA_BROKER", "redpanda"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variables_name(
    name: str, value: str
) -> None:
    """The message says which variable, what it holds, and what is wrong with it."""
    variable = f"FABRIC_JOBS_{name}"
    with pytest.raises(SettingsError, match=f"^{variable}='{value}': ."):
        from_env(Example, {variable: value})


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:5001", ("::1", 5001)),
        ("facade.example.org:65535", ("facade.example.org", 65535)),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    """Names, IPv4 and bracketed IPv6 addresses are taken apart."""
    assert host_port(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":5000", "localhost:", "localhost:http", "localhost:65536", "localhost:-1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """The message shows what was given and how one looks."""
    with pytest.raises(SettingsError, match="is not HOST:PORT"):
        host_port(address)


@pytest.mark.parametrize("address", ["localhost:²", "localhost:①", "[]:5000"])
def test_an_address_that_only_looks_like_one_is_refused_alike(address: str) -> None:
    """A digit that is no number, or brackets around nothing, are the setting's fault, no crash."""
    with pytest.raises(SettingsError, match="is not HOST:PORT"):
        host_port(address)


def test_the_brokers_are_one_table_by_name() -> None:
    """Each kind is found by its name; the embedded one has none of the capabilities of Apache's."""
    assert BROKERS == {"apache": APACHE, "embedded": EMBEDDED}
    capabilities = ("topic_admin", "record_time", "keeps_log", "shared_pools")
    assert all(getattr(APACHE, name) for name in capabilities)
    assert not any(getattr(EMBEDDED, name) for name in capabilities)
    assert from_env(KafkaSettings, {"FABRIC_JOBS_KAFKA_BROKER": "embedded"}).broker is EMBEDDED


def test_a_lease_that_outlasts_the_heartbeats_is_refused() -> None:
    """They are kept for an hour: nobody could look a longer silence up."""
    assert from_env(FacadeSettings, {"FABRIC_JOBS_LEASE_S": "3600"}).lease_s == 3600
    with pytest.raises(SettingsError, match="FABRIC_JOBS_LEASE_S"):
        from_env(FacadeSettings, {"FABRIC_JOBS_LEASE_S": "3601"})
