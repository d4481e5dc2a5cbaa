"""Settings from the environment."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.kafka.brokers import APACHE, BROKERS, EMBEDDED
from fabric_jobs.runtime.settings import (
    PREFIX,
    Address,
    Addresses,
    Guid,
    KafkaSettings,
    SettingsError,
    Url,
    address_of,
    addresses,
    from_env,
    host_port,
    value_types,
    variables,
)


class Example(KafkaSettings, frozen=True, kw_only=True):
    """One field of each kind that the programs use."""

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
    ("name", "value", "wanted"),
    [
        ("COUNT", "many", "a whole number of 1 or more; 7 would do"),
        ("COUNT", "0", "a whole number of 1 or more; 7 would do"),
        ("COUNT", "1.5", "a whole number of 1 or more; 7 would do"),
        ("SECONDS", "0", "a number above 0; 1.5 would do"),
        ("SECONDS", "soon", "a number above 0; 1.5 would do"),
        ("SECONDS", "inf", "a number above 0; 1.5 would do"),
        ("SHARE", "2", "a number from 0 to 1; 0.5 would do"),
        ("FLAG", "perhaps", "true or false; false would do"),
        ("KAFKA_BROKER", "redpanda", "apache or embedded; apache would do"),
        ("KINDS", "Manual,By hand", f"{KINDS}, or several separated by commas; Manual would do"),
        ("ADDRESS", "5000", "HOST:PORT; 127.0.0.1:5000 would do"),
        ("ADDRESSES", "a:1,b", "HOST:PORT, or several separated by commas; 127.0.0.1:1 would do"),
        ("ADDRESSES", ",", "HOST:PORT, or several separated by commas; 127.0.0.1:1 would do"),
        ("PROBES", "9464", "HOST:PORT; 127.0.0.1:2 would do"),
        ("ID", "contoso", "a GUID; 0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5 would do"),
        (
            "EVENTS_TOPIC",
            "job events",
            f"letters, digits, dots, - and _; {EVENTS_TOPIC} would do",
        ),
        ("URL", "example.org", "a URL of http or https; https://example.org would do"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variables_name(
    name: str, value: str, wanted: str
) -> None:
    """The message says which variable, what it holds, what it may hold, and what would do."""
    variable = f"FABRIC_JOBS_{name}"
    with pytest.raises(SettingsError) as raised:
        from_env(Example, {variable: value})

    assert str(raised.value) == f"{variable}={value!r} is not {wanted}."


def test_an_address_list_may_end_with_a_comma() -> None:
    """As a template's loop writes it."""
    assert addresses("a:1, b:2,") == ("a:1", "b:2")


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_any_setting_may_come_from_a_file(tmp_path: Path, content: str) -> None:
    """Its variable with _FILE names it; the line break that an editor leaves is no part of it."""
    file = tmp_path / "text"
    file.write_bytes(content.encode())

    assert from_env(Example, {"FABRIC_JOBS_TEXT_FILE": str(file)}) == Example(text="s3cret")


def test_a_setting_and_its_file_are_not_both_given(tmp_path: Path) -> None:
    """Nobody need know which of them would win."""
    environ = {"FABRIC_JOBS_TEXT": "one", "FABRIC_JOBS_TEXT_FILE": str(tmp_path / "text")}
    with pytest.raises(SettingsError, match="FABRIC_JOBS_TEXT and FABRIC_JOBS_TEXT_FILE are both"):
        from_env(Example, environ)


def test_an_error_does_not_show_what_a_file_holds(tmp_path: Path) -> None:
    """It may be a secret, also where it stands in the wrong place."""
    file = tmp_path / "count"
    file.write_text("s3cret")
    with pytest.raises(SettingsError) as raised:
        from_env(Example, {"FABRIC_JOBS_COUNT_FILE": str(file)})

    assert str(raised.value) == (
        f"What FABRIC_JOBS_COUNT_FILE='{file}' holds is not a whole number of 1 or more; "
        "7 would do."
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "No such file or directory"), (b"\xff", "no text"), (b"\n", "is empty")],
)
def test_a_file_that_gives_no_value_is_refused(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    """Missing, no text or empty: a secret that did not arrive is no default."""
    file = tmp_path / "text"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_TEXT_FILE='{file}' .*{fault}"):
        from_env(Example, {"FABRIC_JOBS_TEXT_FILE": str(file)})


def test_the_folder_of_the_state_is_made(tmp_path: Path) -> None:
    """A first start needs no preparation, nor one after its whole disk was lost."""
    file = FacadeSettings(state_dir=tmp_path / "new" / "state").state_file()

    assert file == tmp_path / "new" / "state" / "replica.sqlite"
    assert list(file.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_refused_by_its_variable(tmp_path: Path) -> None:
    """Here a file stands in its place."""
    (tmp_path / "state").write_text("")
    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_STATE_DIR='.*state' can't be written"):
        FacadeSettings(state_dir=tmp_path / "state").state_file()


@pytest.mark.parametrize("settings", [FacadeSettings, ExecutorSettings])
def test_every_setting_has_a_value_that_would_do(settings: type[Struct]) -> None:
    """What an error would show is taken, but where any text is and no error comes."""
    for variable in variables(settings):
        if not value_types.words(variable.type).startswith(("a text", "a path")):
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
def test_a_variable_that_is_misspelled_is_a_warning(
    name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the one that is meant."""
    from_env(ExecutorSettings, {f"FABRIC_JOBS_{name}": "1"})

    assert caplog.messages == [f"FABRIC_JOBS_{name} is no setting: FABRIC_JOBS_{meant} is one"]


def test_the_other_programs_variables_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Both may run with one environment, in which the command's and an orchestrator's stand too."""
    of_both = [*variables(FacadeSettings), *variables(ExecutorSettings)]
    others = ["URL", "FACADE_PORT", "FACADE_SERVICE_HOST", "EXECUTOR_SERVICE_PORT", "SERVICE_HOST"]
    environ = {variable.name: variable.example for variable in of_both}
    environ |= {f"{PREFIX}{name}": "1" for name in others}
    from_env(FacadeSettings, environ)
    from_env(ExecutorSettings, environ)

    assert caplog.messages == []


@pytest.mark.parametrize("settings", [FacadeSettings, ExecutorSettings])
def test_no_setting_is_named_as_another_ones_file(settings: type[Struct]) -> None:
    """So a variable says one thing."""
    names = {variable.name for variable in variables(settings)}

    assert names & {f"{name}_FILE" for name in names} == set()


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
    assert address_of(*parts) == address


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
