"""Settings from environment variables and from files."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.kafka.brokers import APACHE
from fabric_jobs.runtime.settings import (
    PREFIX,
    Address,
    Addresses,
    Guid,
    KafkaSettings,
    SettingsError,
    Url,
    from_env,
    value_types,
    variables,
)


class Example(KafkaSettings, frozen=True, kw_only=True):
    """One field of each type that the programs use."""

    text: str = "default"
    flag: bool = False
    count: Annotated[int, Meta(ge=1)] = 7
    seconds: Annotated[float, Meta(gt=0)] = 1.5
    folder: Path | None = None
    words: tuple[str, ...] = ("one",)
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    kinds: tuple[InvokeType, ...] = (InvokeType.MANUAL,)
    address: Address = "127.0.0.1:5000"
    addresses: Addresses = "127.0.0.1:1"
    probes: Annotated[Address | None, Meta(examples=["127.0.0.1:2"])] = None
    id: Guid = ""
    url: Url = "https://example.org"


KINDS = "one of Manual, Scheduled, UnknownFutureValue"


def test_from_env_of_an_empty_environment_has_the_defaults() -> None:
    """A first run on one machine needs no setting."""
    settings = from_env(KafkaSettings, {})
    assert settings == KafkaSettings()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert (settings.events_topic, settings.broker) == (EVENTS_TOPIC, APACHE)


def test_from_env_reads_each_field_from_the_variable_of_its_name() -> None:
    """The value is converted to the field's type."""
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


def test_from_env_with_an_empty_variable_has_the_default() -> None:
    """Compose files set empty variables."""
    environ = {f"FABRIC_JOBS_{name}": "" for name in ("TEXT", "COUNT", "KAFKA_BROKER", "FOLDER")}
    assert from_env(Example, environ) == Example()


def test_from_env_ignores_variables_that_are_not_settings() -> None:
    """A variable without the prefix, or of another program, has no effect."""
    environ = {"TEXT": "x", "fabric_jobs_text": "x", "FABRIC_JOBS_OTHER": "x", "PATH": "/bin"}
    assert from_env(Example, environ) == Example()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("COUNT", "many", "a whole number of 1 or more, for example 7"),
        ("COUNT", "0", "a whole number of 1 or more, for example 7"),
        ("COUNT", "1.5", "a whole number of 1 or more, for example 7"),
        ("SECONDS", "0", "a number above 0, for example 1.5"),
        ("SECONDS", "soon", "a number above 0, for example 1.5"),
        ("SECONDS", "inf", "a number above 0, for example 1.5"),
        ("SHARE", "2", "a number from 0 to 1, for example 0.5"),
        ("FLAG", "perhaps", "true or false, for example false"),
        ("KAFKA_BROKER", "redpanda", "apache or embedded, for example apache"),
        ("KINDS", "Manual,By hand", f"{KINDS}, or several separated by commas, for example Manual"),
        ("ADDRESS", "5000", "HOST:PORT, for example 127.0.0.1:5000"),
        (
            "ADDRESSES",
            "a:1,b",
            "HOST:PORT, or several separated by commas, for example 127.0.0.1:1",
        ),
        ("ADDRESSES", ",", "HOST:PORT, or several separated by commas, for example 127.0.0.1:1"),
        ("PROBES", "9464", "HOST:PORT, for example 127.0.0.1:2"),
        ("ID", "contoso", "a GUID, for example 0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"),
        (
            "EVENTS_TOPIC",
            "job events",
            f"letters, digits, dots, - and _, for example {EVENTS_TOPIC}",
        ),
        ("URL", "example.org", "a URL of http or https, for example https://example.org"),
    ],
)
def test_from_env_with_an_invalid_value_raises_error_with_variable_value_and_example(
    name: str, value: str, wanted: str
) -> None:
    """The message also describes the valid values."""
    variable = f"FABRIC_JOBS_{name}"
    with pytest.raises(SettingsError) as raised:
        from_env(Example, {variable: value})

    assert str(raised.value) == f"{variable}={value!r} is not {wanted}."


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "\ufeffs3cret\r\n"])
def test_from_env_with_a_file_variable_reads_the_value_from_the_file(
    tmp_path: Path, content: str
) -> None:
    """A byte order mark and the line break at the end of the file are not part of the value."""
    file = tmp_path / "text"
    file.write_bytes(content.encode())

    assert from_env(Example, {"FABRIC_JOBS_TEXT_FILE": str(file)}) == Example(text="s3cret")


def test_from_env_with_a_value_and_a_file_raises_settings_error(tmp_path: Path) -> None:
    """Neither of them takes precedence."""
    environ = {"FABRIC_JOBS_TEXT": "one", "FABRIC_JOBS_TEXT_FILE": str(tmp_path / "text")}
    with pytest.raises(SettingsError, match="FABRIC_JOBS_TEXT and FABRIC_JOBS_TEXT_FILE are both"):
        from_env(Example, environ)


def test_from_env_with_an_invalid_value_in_a_file_does_not_show_the_value(tmp_path: Path) -> None:
    """It may be a secret, even if the setting is not one."""
    file = tmp_path / "count"
    file.write_text("s3cret")
    with pytest.raises(SettingsError) as raised:
        from_env(Example, {"FABRIC_JOBS_COUNT_FILE": str(file)})

    assert str(raised.value) == (
        f"What FABRIC_JOBS_COUNT_FILE='{file}' holds is not a whole number of 1 or more, "
        "for example 7."
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "No such file or directory"), (b"\xff", "not UTF-8 text"), (b"\n", "is empty")],
)
def test_from_env_with_an_unreadable_or_empty_file_raises_settings_error(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    """A secret that was not delivered must not become the default."""
    file = tmp_path / "text"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_TEXT_FILE='{file}' .*{fault}"):
        from_env(Example, {"FABRIC_JOBS_TEXT_FILE": str(file)})


@pytest.mark.parametrize("settings", [FacadeSettings, ExecutorSettings])
def test_example_of_each_setting_is_a_valid_value(settings: type[Struct]) -> None:
    """Settings that accept any text need no example."""
    for variable in variables(settings):
        if not value_types.describe(variable.type).startswith(("a text", "a path")):
            assert variable.example
            variable.read({variable.name: variable.example})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SLOT", "SLOTS"),
        ("HEARTBEATS_S", "HEARTBEAT_S"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("EXECUTER_NAME_FILE", "EXECUTOR_NAME_FILE"),
    ],
)
def test_from_env_with_a_misspelt_variable_logs_a_warning(
    name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the setting that is probably meant."""
    from_env(ExecutorSettings, {f"FABRIC_JOBS_{name}": "1"})

    assert caplog.messages == [
        f"FABRIC_JOBS_{name} is not a setting. Did you mean FABRIC_JOBS_{meant}?"
    ]


def test_from_env_with_variables_of_other_programs_logs_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All programs and an orchestrator may share one environment."""
    of_both = [*variables(FacadeSettings), *variables(ExecutorSettings)]
    others = ["URL", "FACADE_PORT", "FACADE_SERVICE_HOST", "EXECUTOR_SERVICE_PORT", "SERVICE_HOST"]
    environ = {variable.name: variable.example for variable in of_both}
    environ |= {f"{PREFIX}{name}": "1" for name in others}
    from_env(FacadeSettings, environ)
    from_env(ExecutorSettings, environ)

    assert caplog.messages == []


@pytest.mark.parametrize("settings", [FacadeSettings, ExecutorSettings])
def test_no_setting_has_the_name_of_another_settings_file_variable(settings: type[Struct]) -> None:
    """Otherwise one variable would have two meanings."""
    names = {variable.name for variable in variables(settings)}

    assert names & {f"{name}_FILE" for name in names} == set()
