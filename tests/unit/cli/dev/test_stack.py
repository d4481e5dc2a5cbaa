"""The settings of the programs that `dev` and `demo` start."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock, MagicMock

import pytest

from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.programs import Program
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import InputError


async def test_stack_without_a_named_kafka_starts_an_embedded_broker() -> None:
    """Each stack has its own broker on a loopback port."""
    async with Stack({}) as one, Stack({}) as two:
        assert one.embedded
        assert one.kafka.startswith("127.0.0.1:")
        assert one.kafka != two.kafka


async def test_embedded_broker_ignores_the_other_settings_of_kafka() -> None:
    """The broker has neither TLS nor users."""
    environ = {
        "FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "FABRIC_JOBS_KAFKA_SASL_USERNAME": "alice",
        "FABRIC_JOBS_KAFKA_SASL_PASSWORD_FILE": "/run/secrets/password",
    }
    async with Stack(environ) as stack:
        assert {name for name in stack._environ if name.startswith("FABRIC_JOBS_KAFKA")} == {
            "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS",
            "FABRIC_JOBS_KAFKA_BROKER",
        }


async def test_stack_uses_the_kafka_that_the_environment_names() -> None:
    """No broker is embedded then."""
    async with Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) as stack:
        assert not stack.embedded
        assert stack.kafka == "kafka:9092"


async def test_stack_uses_the_kafka_that_a_file_names(tmp_path: Path) -> None:
    """The programs get the name of the file, and read it themselves."""
    (tmp_path / "servers").write_text("kafka:9092\n")
    environ = {"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS_FILE": str(tmp_path / "servers")}
    async with Stack(environ) as stack:
        assert not stack.embedded
        assert stack.kafka == "kafka:9092"
        assert environ.items() <= stack._environ.items()


async def test_stack_with_an_unreadable_file_for_kafka_raises_an_error() -> None:
    """No broker is embedded then."""
    with pytest.raises(InputError, match="name a file that holds the value"):
        Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS_FILE": "/nowhere"})


@pytest.mark.parametrize(
    "name", ["POOL", "LOG_FORMAT", "BASE_PATH", "AUDIENCE", "AUTHORITY", "MONITOR", "FACADES"]
)
async def test_setting_from_a_file_is_not_also_set_directly(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The file replaces a default of `dev`. A value that `dev` needs replaces the file."""
    variable, started = f"FABRIC_JOBS_{name}", {"http": "http://a/workload", "grpc": "a:5001"}
    monkeypatch.setattr(Stack, "_start", AsyncMock(return_value=SimpleNamespace(ready=started)))
    async with Stack({variable + "_FILE": "/run/secrets/value"}) as stack:
        with Issuer() as issuer:
            await stack.start_facade("127.0.0.1:5000", "127.0.0.1:5001", issuer)

        both = {variable, variable + "_FILE"} & stack._environ.keys()
    needed = name in ("AUDIENCE", "AUTHORITY", "FACADES")
    assert both == {variable if needed else variable + "_FILE"}


@pytest.mark.parametrize("variable", ["FABRIC_JOBS_HTTP_ADDRESS", "FABRIC_JOBS_GRPC_ADDRESS"])
async def test_facade_gets_the_address_of_dev_instead_of_a_file_for_it(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The facade would refuse to start if both were set."""
    program = MagicMock(ready={"http": "http://a/workload", "grpc": "a:5001"}, stop=AsyncMock())
    program.wait = asyncio.Event().wait
    start = AsyncMock(return_value=program)
    monkeypatch.setattr(Program, "start", start)
    async with Stack({variable + "_FILE": "/run/secrets/value"}) as stack:
        with Issuer() as issuer:
            await stack.start_facade("127.0.0.1:5000", "127.0.0.1:5001", issuer)

    environ = start.call_args.kwargs["environ"]
    assert {variable, variable + "_FILE"} & environ.keys() == {variable}


@pytest.mark.parametrize(
    ("http", "given", "expected"),
    [
        ("127.0.0.1:5000", {}, "true"),
        ("127.0.0.1:5000", {"FABRIC_JOBS_MONITOR": "false"}, "false"),
        ("0.0.0.0:5000", {}, None),
        ("0.0.0.0:5000", {"FABRIC_JOBS_MONITOR": "true"}, "true"),
    ],
)
async def test_job_monitor_is_on_by_default_only_on_a_loopback_address(
    monkeypatch: pytest.MonkeyPatch, http: str, given: dict[str, str], expected: str | None
) -> None:
    """On another address it needs a sign-in. A setting of the user's is kept."""
    started = {"http": f"http://{http}/workload", "grpc": "127.0.0.1:5001"}
    monkeypatch.setattr(Stack, "_start", AsyncMock(return_value=SimpleNamespace(ready=started)))
    async with Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", **given}) as stack:
        with Issuer() as issuer:
            await stack.start_facade(http, "127.0.0.1:5001", issuer)
        assert stack._environ.get("FABRIC_JOBS_MONITOR") == expected
        assert stack.monitor is None
