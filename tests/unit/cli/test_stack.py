"""The tree's settings, and how signals end its work."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.stack import Stack, until_stopped
from fabric_jobs.cli.errors import CommandError, InputError


async def test_the_work_s_result_is_given() -> None:
    """Where nobody stops it."""
    assert await until_stopped(asyncio.sleep(0, "done")) == "done"


@pytest.fixture
def terminal() -> Iterator[None]:
    """A terminal that can be closed, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_work_after_its_cleaning_up(number: signal.Signals) -> None:
    """Ctrl-C, an orchestrator's stop and a closed terminal are the same, and no error."""
    cleaned = False

    async def work() -> str:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True
        return "never"

    assert await until_stopped(work()) is None
    assert cleaned


async def test_a_second_signal_cuts_the_cleaning_up_short() -> None:
    """Who presses Ctrl-C again wants an end now."""

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        await until_stopped(work())


async def test_the_signal_handlers_are_put_back() -> None:
    """What comes after is not ours."""
    before = signal.getsignal(signal.SIGTERM)
    await until_stopped(asyncio.sleep(0))

    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_error_of_the_work_is_raised() -> None:
    """Only a signal turns a cancelled work into none."""

    async def work() -> None:
        raise CommandError("no")

    with pytest.raises(CommandError, match="no"):
        await until_stopped(work())


async def test_without_a_named_kafka_there_is_an_embedded_one() -> None:
    """On a loopback port, with another for each stack."""
    async with Stack({}) as one, Stack({}) as two:
        assert one.embedded
        assert one.kafka.startswith("127.0.0.1:")
        assert one.kafka != two.kafka


async def test_another_kafka_s_settings_do_not_hold_for_the_embedded_broker() -> None:
    """It speaks plain text, and knows no users."""
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


async def test_a_named_kafka_is_used() -> None:
    """Nothing is embedded then."""
    async with Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) as stack:
        assert not stack.embedded
        assert stack.kafka == "kafka:9092"


async def test_a_kafka_that_a_file_names_is_used(tmp_path: Path) -> None:
    """As by any other setting; the programs read the file themselves."""
    (tmp_path / "servers").write_text("kafka:9092\n")
    environ = {"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS_FILE": str(tmp_path / "servers")}
    async with Stack(environ) as stack:
        assert not stack.embedded
        assert stack.kafka == "kafka:9092"
        assert environ.items() <= stack._environ.items()


async def test_a_kafka_that_can_t_be_read_is_told() -> None:
    """In place of an embedded one."""
    with pytest.raises(InputError, match="name a file that holds the value"):
        Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("http", "given", "expected"),
    [
        ("127.0.0.1:5000", {}, "true"),
        ("127.0.0.1:5000", {"FABRIC_JOBS_MONITOR": "false"}, "false"),
        ("0.0.0.0:5000", {}, None),
        ("0.0.0.0:5000", {"FABRIC_JOBS_MONITOR": "true"}, "true"),
    ],
)
async def test_the_job_monitor_is_on_where_it_needs_no_sign_in(
    monkeypatch: pytest.MonkeyPatch, http: str, given: dict[str, str], expected: str | None
) -> None:
    """Elsewhere, and where the user says otherwise, it is as the user says."""
    started = {"http": f"http://{http}/workload", "grpc": "127.0.0.1:5001"}
    monkeypatch.setattr(Stack, "_start", AsyncMock(return_value=SimpleNamespace(ready=started)))
    async with Stack({"FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", **given}) as stack:
        with Issuer() as issuer:
            await stack.start_facade(http, "127.0.0.1:5001", issuer)
        assert stack._environ.get("FABRIC_JOBS_MONITOR") == expected
        assert stack.monitor is None
