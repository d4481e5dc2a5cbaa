"""The command line as a whole: its version, bad input, its imports, and its missing extra."""

import builtins
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fabric_jobs.cli import __main__
from fabric_jobs.cli.main import main
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.requirements import missing
from tests.support.stub_facade import StubFacade, job


def test_version_option_prints_the_name_and_the_version() -> None:
    """The version is that of the installed package."""
    result = CliRunner().invoke(main, ["--version"])

    assert result.output.startswith("fabric-jobs, version ")


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
        ("jobs", "list", "--job-type", "not UTF-8: \udcff"),
    ],
)
def test_bad_input_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """The command starts no program and sends no request."""
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_option_with_a_wrong_address_is_refused_with_its_default_as_the_example() -> None:
    """The example has the port of gRPC, and not that of HTTP."""
    result = CliRunner().invoke(main, ["jobs", "list", "--grpc", "localhost"])

    assert result.exit_code == 2
    assert "'localhost' is not HOST:PORT, such as 127.0.0.1:5001." in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--version",), ("jobs", "list"), ("jobs", "list", "--json")]
)
def test_output_that_cant_be_written_is_one_line_and_exit_code_2(
    stub: StubFacade, arguments: tuple[str, ...]
) -> None:
    """The exit code is not 1, because exit code 1 of `jobs watch` says that the job failed."""
    if not Path("/dev/full").exists():
        missing("/dev/full", "only Linux has the file that is always full")
    stub.answer = lambda _: pb.ListJobsResponse(jobs=[job()])
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fabric_jobs.cli", *arguments],
            env=os.environ | {"FABRIC_JOBS_GRPC_ADDRESS": stub.address},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.stderr == "Error: The output can't be written: No space left on device.\n"
    assert done.returncode == 2


def test_command_line_imports_neither_program() -> None:
    """It starts the facade and the executor as processes."""
    code = (
        "import fabric_jobs.cli.main, sys; print(sys.modules.keys() & "
        "{'fabric_jobs.facade', 'fabric_jobs.executor', 'litestar'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def fail_import(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Makes the import of the command line fail, because the module is missing."""
    original = builtins.__import__

    def find(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "fabric_jobs.cli.main":
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", find)


def test_missing_package_is_one_line_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 1, because `SystemExit` has a message."""
    fail_import(monkeypatch, "rich.table")
    with pytest.raises(SystemExit) as raised:
        __main__.main()

    assert raised.value.code == (
        "Error: `fabric-jobs` needs the extra fabric-jobs[cli]: rich is not installed. "
        "Install it from a checkout or a wheel: pip install 'PATH[cli]'."
    )


def test_missing_module_of_this_package_is_a_python_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No extra would mend it."""
    fail_import(monkeypatch, "fabric_jobs.cli.nonsense")
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


#: gRPC logs that it can't bind this address, which belongs to no machine.
BIND_IN_VAIN = """
import asyncio, contextlib, grpc, os
async def bind():
    with contextlib.suppress(RuntimeError):
        grpc.aio.server().add_insecure_port("192.0.2.1:1")
asyncio.run(bind())
print(os.environ.get("GRPC_VERBOSITY"))
"""
SILENCE = "from fabric_jobs.cli.__main__ import _silence_grpc\n_silence_grpc()\n"


@pytest.mark.parametrize(
    ("code", "level", "logged"),
    [
        (BIND_IN_VAIN, None, True),
        (SILENCE + BIND_IN_VAIN, None, False),
        (SILENCE + BIND_IN_VAIN, "ERROR", True),
    ],
    ids=["without the command", "in the command", "where the user sets the level"],
)
def test_grpc_s_own_log_lines_are_silent_in_the_command(
    code: str, level: str | None, logged: bool
) -> None:
    """They would break a progress bar. The programs that the command starts keep their level."""
    environment = {name: text for name, text in os.environ.items() if name != "GRPC_VERBOSITY"}
    if level:
        environment["GRPC_VERBOSITY"] = level
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert ("add_port" in done.stderr) is logged
    assert done.stdout == f"{level}\n"


def test_ctrl_c_during_the_import_prints_no_traceback() -> None:
    """The signal ends the process, as it ends a program that does not handle it."""
    code = """
import signal, sys, time
from fabric_jobs.cli.__main__ import main

# A program that is started in the background inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "fabric_jobs.cli.main":
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (-signal.SIGINT, "")
