"""`fabric-jobs submit` and `token`: input that can't be sent, and servers that do not answer."""

import socket
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fabric_jobs.cli.commands import submit
from fabric_jobs.cli.main import main


def run(*arguments: str) -> Result:
    """Runs `fabric-jobs` in this process."""
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("payload", ["{", "NaN", "[]", '"text"', "null", '{"a": NaN}'])
def test_payload_that_is_no_json_object_is_refused(payload: str) -> None:
    """The error is one line, and nothing is sent."""
    result = run("submit", "Item", "job", "--payload", payload)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: --payload ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("mark", [b"", BOM_UTF8])
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_payload_from_a_file_or_stdin_is_sent_as_it_was_written(
    source: str, mark: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No number loses digits. A byte order mark is left out."""
    sent: list[object] = []

    async def send(_url: str, _identity: object, _job: object, payload: object, _: object) -> int:
        sent.append(payload)
        return 0

    monkeypatch.setattr(submit, "_submit", send)
    text = b'{"a": 1.000000000000000000001}\n'
    file = tmp_path / "payload.json"
    file.write_bytes(mark + text)
    payload = f"@{file}" if source == "file" else "-"
    command = ["submit", "Item", "job", "--payload", payload]
    result = CliRunner().invoke(main, command, input=mark + text)

    assert result.exit_code == 0
    assert [bytes(each) for each in sent] == [text]  # type: ignore[call-overload]


def test_payload_file_that_is_missing_is_one_line_with_exit_code_2() -> None:
    """The line has the file's name."""
    result = run("submit", "Item", "job", "--payload", "@/no/such.json")

    assert result.exit_code == 2
    assert result.stderr == "Error: /no/such.json can't be read: No such file or directory.\n"


@pytest.fixture
def unused_url() -> Iterator[str]:
    """A URL at which no server answers."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


def test_submit_without_a_facade_is_one_line_with_a_remedy(unused_url: str) -> None:
    """The line has the URL."""
    result = run("submit", "Item", "job", "--http", f"{unused_url}/workload", "--authority", "")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: No facade answers at {unused_url}/workload. "
        "Start one with `fabric-jobs dev`, or name another URL with --http.\n"
    )


@pytest.mark.parametrize("command", [("submit", "Item", "job"), ("token",)])
def test_command_without_a_token_issuer_is_one_line_with_exit_code_2(
    unused_url: str, command: tuple[str, ...]
) -> None:
    """The line has the issuer's URL."""
    result = run(*command, "--authority", unused_url)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: The local token issuer at {unused_url}")
    assert result.stderr.count("\n") == 1
