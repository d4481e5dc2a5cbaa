"""The commands that `fabric-jobs dev` proposes."""

import shlex
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from fabric_jobs.cli.commands.dev import FREE_PORTS, dev_command, next_steps, without_client
from fabric_jobs.cli.main import main

EXAMPLE = ("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
URL = "http://127.0.0.1:5000/workload"
GRPC = "127.0.0.1:5001"
AUTHORITY = "http://127.0.0.1:5002"


def lines(
    url: str = URL,
    grpc: str = GRPC,
    authority: str = AUTHORITY,
    *,
    handled: tuple[str, str] = EXAMPLE,
    payload: str | None = '{"priority": "high"}',
) -> tuple[list[str], list[str], list[str]]:
    """The words of the three proposed commands."""
    submit, curl, listing = (
        shlex.split(line)
        for line in next_steps(url, grpc, authority, handled, payload, None).splitlines()
        if line.startswith("  ")
    )
    return submit, curl, listing


def test_next_steps_on_default_addresses_have_no_address_options() -> None:
    """The commands find the programs at the default addresses."""
    submit, curl, listing = lines()

    assert submit[:2] == ["fabric-jobs", "submit"]
    assert submit[2:4] == ["Contoso.FinanceAnalytics.Forecast", "calculateForecast"]
    assert submit[4:] == ["--payload", '{"priority": "high"}', "--wait"]
    assert curl[:4] == ["fabric-jobs", "token", "|", "curl"]
    assert curl[-1].startswith(f"{URL}/workspaces/")
    assert listing == ["fabric-jobs", "jobs", "list"]


def test_next_steps_on_other_addresses_name_them() -> None:
    """The commands work as they are printed."""
    url, grpc, authority = "http://127.0.0.1:7/workload", "127.0.0.1:8", "http://127.0.0.1:9"
    submit, curl, listing = lines(url, grpc, authority)

    assert submit[-6:] == ["--http", url, "--grpc", grpc, "--authority", authority]
    assert curl[:5] == ["fabric-jobs", "token", "--authority", authority, "|"]
    assert curl[-1].startswith(f"{url}/workspaces/")
    assert listing[-2:] == ["--grpc", grpc]


def test_next_steps_have_the_url_of_the_monitor_if_it_is_on() -> None:
    """The URL is a word of its own, which terminals show as a link."""
    monitor = "http://127.0.0.1:5000/monitor"

    assert monitor in next_steps(URL, GRPC, AUTHORITY, EXAMPLE, "{}", monitor).split()
    assert "monitor" not in next_steps(URL, GRPC, AUTHORITY, EXAMPLE, "{}", None)


def test_next_steps_for_other_handlers_quote_their_types_for_a_shell() -> None:
    """So is the payload."""
    submit, curl, _ = lines(handled=("My Item", "it's"), payload='{"name": "it\'s"}')

    assert submit[2:6] == ["My Item", "it's", "--payload", '{"name": "it\'s"}']
    assert "/items/My%20Item/" in curl[-1]


def test_next_steps_without_an_example_of_the_payload_say_so() -> None:
    """The command has an empty payload, which the reader must replace."""
    steps = next_steps(URL, GRPC, AUTHORITY, EXAMPLE, None, None)

    assert "(no example of calculateForecast's payload can be made: replace {})" in steps
    assert lines(payload=None)[0][4:6] == ["--payload", "{}"]


@pytest.mark.parametrize("option", ["--issuer", "--http", "--grpc"])
def test_second_dev_names_the_taken_address_and_the_way_out(option: str) -> None:
    """The error is one line with the options that pick free ports."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(main, ["dev", *FREE_PORTS.split(), option, address])

    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert address in result.stderr
    assert FREE_PORTS in result.stderr


def test_dev_leaves_out_the_client_secret_which_is_for_entra() -> None:
    """The secret and the certificate are left out as values and as files."""
    environ = {
        "FABRIC_JOBS_CLIENT_SECRET": "x",
        "FABRIC_JOBS_CLIENT_SECRET_FILE": "x",
        "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": "x",
        "FABRIC_JOBS_CLIENT_ID": "stays",
    }

    assert without_client(environ) == {"FABRIC_JOBS_CLIENT_ID": "stays"}


VARIABLES = {"http": "FABRIC_JOBS_HTTP_ADDRESS", "grpc": "FABRIC_JOBS_GRPC_ADDRESS"}


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize(
    ("arguments", "environ", "file", "expected"),
    [
        (["127.0.0.1:1"], "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:1"),
        ([], "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:2"),
        ([], None, "127.0.0.1:3", "127.0.0.1:3"),
        ([], None, "", "default"),
        ([], "", "127.0.0.1:3", "default"),
    ],
    ids=["option", "environment", "file", "empty in the file", "empty in the environment"],
)
def test_address_of_dev_comes_from_option_environment_file_or_default_in_this_order(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: list[str],
    environ: str | None,
    file: str,
    expected: str,
) -> None:
    """An empty variable means the default, as for every setting."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    if environ is not None:
        monkeypatch.setenv(VARIABLES[name], environ)
    (tmp_path / "settings.env").write_text(f"{VARIABLES[name]}={file}\n")
    monkeypatch.chdir(tmp_path)
    options = [word for address in arguments for word in (f"--{name}", address)]
    defaults = {"http": "127.0.0.1:5000", "grpc": "127.0.0.1:5001"}

    params = dev_command.make_context("dev", [*options, "my_jobs:executor"]).params
    assert {each: params[each] for each in VARIABLES} == defaults | (
        {} if expected == "default" else {name: expected}
    )


@pytest.mark.parametrize("variable", VARIABLES.values())
def test_dev_uses_the_addresses_of_the_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The address of the file is taken here, so `dev` refuses to start."""
    for each in VARIABLES.values():
        monkeypatch.delenv(each, raising=False)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = dict.fromkeys(VARIABLES.values(), "127.0.0.1:0") | {variable: address}
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (tmp_path / "settings.env").write_text(lines)
        result = CliRunner().invoke(main, ["dev", "my_jobs:executor", "--issuer", "127.0.0.1:0"])

    assert result.exit_code == 1
    assert f"can't use the address {address}" in result.stderr


@pytest.mark.parametrize("option", ["--http", "--grpc", "--issuer"])
def test_dev_on_a_host_that_is_unknown_says_so(option: str) -> None:
    """The line does not speak of another `dev`, because no other program has the address."""
    free = [word for each in ("--http", "--grpc", "--issuer") for word in (each, "127.0.0.1:0")]
    result = CliRunner().invoke(main, ["dev", *free, option, "nowhere.invalid:5000"])

    assert result.exit_code == 1
    assert "can't use the address nowhere.invalid:5000: " in result.stderr
    assert result.stderr.endswith(". Choose another address, such as 127.0.0.1:0.\n")
    assert "Unknown error" not in result.stderr


def test_address_in_the_settings_file_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the option."""
    monkeypatch.delenv(VARIABLES["grpc"], raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.env").write_text(f"{VARIABLES['grpc']}=5001\n")
    result = CliRunner().invoke(main, ["dev", "my_jobs:executor"])

    assert result.exit_code == 2
    assert "Invalid value for '--grpc'" in result.stderr
