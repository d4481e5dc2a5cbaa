"""Schemathesis sends requests by the published description, and against it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from fabric_jobs.cli.dev.issuer import Issuer
from tests.support.brokers import Cluster
from tests.support.paths import ROOT
from tests.support.programs import TENANT, facade

PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
OPERATIONS = 6
EXAMPLES = 20
DEADLINE_S = 110


def sent_always(issuer: Issuer, caller: str) -> dict[str, str]:
    """The fixed headers: those of a user, or Fabric's alone for any tenant."""
    headers = issuer.headers(TENANT, subject=caller == "a user")
    if caller == "Fabric":
        del headers["x-ms-client-tenant-id"]
    return headers


@pytest.mark.parametrize("caller", ["a user", "Fabric"])
async def test_answers_to_generated_requests_fit_the_openapi_description(
    apache: Cluster, topic: str, caller: str, tmp_path: Path
) -> None:
    """Schemathesis and our own check send valid and invalid requests."""
    # If no invoke type needs a user, Fabric's token alone may name any tenant.
    any_caller = {"FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED": ""}
    with Issuer() as issuer:
        async with facade(**apache.environment(topic), **issuer.settings, **any_caller) as replica:
            url = replica.ready["http"].removesuffix("/workload")
            found = await report_of(url, sent_always(issuer, caller), tmp_path)

    assert found["operations"]["tested"] == OPERATIONS
    # If every request were refused, the test would prove little.
    accepted = [
        sum(phase["accepted"] for phase in phases.values())
        for phases in found["valid_rates"].values()
    ]
    assert len(accepted) == OPERATIONS
    assert min(accepted) > 0


async def report_of(url: str, headers: dict[str, str], folder: Path) -> dict[str, Any]:
    """The report of a schemathesis run, which must find no fault."""
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "run", f"{url}/schema/openapi.json"),
        *(word for name, value in headers.items() for word in ("--header", f"{name}: {value}")),
        *("--checks", "all", "--continue-on-failure"),
        *("--seed", "1", "--generation-database", "none"),
        *("--max-examples", str(EXAMPLES), "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.error_check"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, told.decode()
    found: dict[str, Any] = json.loads(report.read_text())
    return found
