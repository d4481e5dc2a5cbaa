"""Runs docs/grpc.md as it stands: its certificates, its settings and its grpcurl lines."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from asyncio import to_thread
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.command import run
from tests.support.pages import ShownCommand, find_commands
from tests.support.paths import ROOT
from tests.support.programs import HANDLERS, Fabric, Program, executor, facade
from tests.support.requirements import missing

PAGE = (ROOT / "docs" / "grpc.md").read_text()
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
ADDRESS = "localhost:5001"
(JOB_ID,) = set(re.findall(r'"job_id": "([0-9a-f-]{36})"', PAGE))
SETTINGS = dict(re.findall(r"^\$ export (\w+)=(\S+)$", PAGE, re.M))
CALLS = find_commands("grpcurl")

pytestmark = pytest.mark.timeout(600)  # where grpcurl has yet to be built


@pytest.fixture(scope="session")
def tools() -> str:
    """A PATH with openssl and grpcurl, which Go's tools build where it is missing."""
    path = os.environ["PATH"]
    if not shutil.which("openssl"):
        missing("openssl", "no openssl on PATH: install one")
    if shutil.which("grpcurl"):
        return path
    if not shutil.which("go"):
        missing("grpcurl", "neither grpcurl nor go on PATH: install one")
    return f"{built_grpcurl()}:{path}"


def built_grpcurl() -> Path:
    """The folder of grpcurl, which is built once and lies in the virtual environment."""
    folder = Path(sys.prefix) / "tools" / GRPCURL.rpartition("/")[2]
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as building:
            settings = {"GOBIN": building, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
            # It runs five times: without optimisation, the build takes a quarter less.
            command = ["go", "install", "-gcflags=all=-N -l", GRPCURL]
            subprocess.run(command, env=os.environ | settings, cwd=building, check=True)
            Path(building).rename(folder)
    return folder


@pytest.fixture
def folder(tools: str, tmp_path: Path) -> Path:
    """A folder with the page's certificates, made by the page's commands."""
    for one in find_commands("openssl", "for"):
        subprocess.run(["bash", "-ec", one.command], cwd=tmp_path, capture_output=True, check=True)
    return tmp_path


async def test_grpcurl_prints_what_docs_grpc_shows(
    tools: str, folder: Path, embedded: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call prints the page's lines, in which … stands for anything."""
    monkeypatch.chdir(folder)
    environment = embedded.environment(topic) | {
        "FABRIC_JOBS_GRPC_ADDRESS": "localhost:0",
        "PYTHONPATH": str(ROOT),
    }
    # The facade has another port than the page's.
    settings = {name: value for name, value in SETTINGS.items() if value != ADDRESS}
    other = f"{topic}.plain"
    plain_environment = environment | embedded.environment(other)
    async with (
        facade(**environment, **SETTINGS) as replica,
        facade(**plain_environment) as plain,
        executor(HANDLERS, replica, **environment, **settings),
        Fabric(replica) as fabric,
    ):
        await fabric.create(JOB_ID, {"priority": "high"})
        await fabric.until(JOB_ID, "Completed")
        printed = [await to_thread(_called, call, replica, plain, tools) for call in CALLS]
        listed = await run(
            *("jobs", "list", "--ids", "--grpc", replica.ready["grpc"]),
            cwd=folder,
            environment={k: v.replace("executor", "operator") for k, v in SETTINGS.items()},
        )

    assert len(CALLS) == 5
    for call, seen in zip(CALLS, printed, strict=True):
        assert call.matches(seen), f"{call.command}\n{seen}"
    assert listed.stdout == [JOB_ID]


def _called(call: ShownCommand, replica: Program, plain: Program, tools: str) -> str:
    """The output of a command, sent to the facade that it is meant for."""
    address = (plain if "-plaintext" in call.command else replica).ready["grpc"]
    done = subprocess.run(
        ["bash", "-c", call.command.replace(ADDRESS, address)],
        env={**os.environ, "PATH": tools},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout
