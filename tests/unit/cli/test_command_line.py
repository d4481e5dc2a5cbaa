"""Bad input: one line and exit code 2."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from fabric_jobs.cli.main import main


def run(*arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(main, arguments)


def test_the_version_is_told() -> None:
    """The installed package's."""
    assert run("--version").output.startswith("fabric-jobs, version ")


@pytest.mark.parametrize("payload", ["{", "NaN", "[]", '"text"', "null", '{"a": NaN}'])
def test_a_payload_that_is_no_json_object_is_refused(payload: str) -> None:
    """One line that says what is wrong, and nothing is sent."""
    result = run("submit", "Item", "job", "--payload", payload)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: --payload ")
    assert result.stderr.count("\n") == 1


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_facade_that_is_not_there_is_told_in_one_line(nobody: str) -> None:
    """With what to do about it."""
    result = run("submit", "Item", "job", "--http", f"{nobody}/workload", "--authority", "")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: Nobody answers at {nobody}/workload. "
        "Start it with `fabric-jobs dev`, or name another with --http.\n"
    )


@pytest.mark.parametrize("command", [("submit", "Item", "job"), ("token",)])
def test_an_issuer_that_is_not_there_is_told_in_one_line(
    nobody: str, command: tuple[str, ...]
) -> None:
    """Without tokens nothing can be asked for."""
    result = run(*command, "--authority", nobody)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: The local issuer at {nobody}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "Item"),
        ("submit", "Item", "job", "--http", "nonsense", "--authority", ""),
        ("submit", "Item", "job", "--workspace", "no-guid"),
        ("submit", "Item", "job", "--grpc", "5001"),
        ("dev", "no-colon"),
        ("dev", "--http", "5000"),
        ("nonsense",),
    ],
)
def test_bad_input_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """Before anything is started or sent."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_the_command_starts_the_programs_as_programs() -> None:
    """It imports neither of them."""
    code = (
        "import fabric_jobs.cli.main, sys; print(sys.modules.keys() & "
        "{'fabric_jobs.facade', 'fabric_jobs.executor', 'litestar'})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout == "set()\n"
