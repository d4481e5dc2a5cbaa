"""`fabric-jobs check` of settings, which needs no other part."""

from collections.abc import Mapping
from contextlib import aclosing

import pytest

from fabric_jobs.facade.startup.check import check
from fabric_jobs.facade.startup.finding import CheckStatus, Finding

OPENID = {
    "FABRIC_JOBS_HTTP_ADDRESS": "0.0.0.0:5000",
    "FABRIC_JOBS_MONITOR": "true",
    "FABRIC_JOBS_MONITOR_URL": "https://jobs.example.com/monitor",
    "FABRIC_JOBS_MONITOR_OPENID_ISSUER": "https://login.example.com/t",
    "FABRIC_JOBS_MONITOR_OPENID_CLIENT_ID": "c",
    "FABRIC_JOBS_MONITOR_OPENID_CLIENT_SECRET": "s",
    "FABRIC_JOBS_MONITOR_OPENID_OPERATORS": "jobs.operator",
}


async def first_finding(environ: Mapping[str, str]) -> Finding:
    """What the check says of the settings."""
    async with aclosing(check(environ, create=False)) as findings:  # type: ignore[type-var]
        return await anext(findings)


async def test_check_of_a_monitor_with_openid_alone_beyond_loopback_is_ok() -> None:
    """The facade starts with these settings, so the check does not refuse them."""
    assert (await first_finding(OPENID)).status is CheckStatus.OK


@pytest.mark.parametrize("setting", [name for name in OPENID if "CLIENT" in name])
async def test_check_of_openid_without_a_setting_fails_and_names_it(setting: str) -> None:
    """The facade does not start without it."""
    finding = await first_finding(OPENID | {setting: ""})

    assert finding.status is CheckStatus.FAILED
    assert f"needs {setting}" in finding.text
