"""`python -m fabric_jobs.facade check`: tests what a deployment needs before it takes traffic."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.certificates import validities
from fabric_jobs.facade.startup.finding import CheckStatus, Finding
from fabric_jobs.facade.startup.kafka_check import check_kafka
from fabric_jobs.facade.startup.on_behalf_of import confidential_client, verify_client
from fabric_jobs.facade.startup.openid import openid_sign_in
from fabric_jobs.facade.startup.security import (
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    job_secrets,
    monitor_access,
    record_codes,
)
from fabric_jobs.runtime.kafka.clients import client_arguments
from fabric_jobs.runtime.settings import SettingsError, find_misspellings, from_env, variable
from fabric_jobs.runtime.telemetry import providers

if TYPE_CHECKING:
    from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient


def print_report(environ: Mapping[str, str], *, create: bool) -> int:
    """Prints each finding as soon as it is made. Returns exit code 1 if any check failed, else 0.

    `create` makes the check create the topics that are missing.
    """
    # A finding says more about a failure than a library's log lines do.
    logging.disable()

    async def print_findings() -> bool:
        passed = True
        async for finding in check(environ, create=create):
            print(finding, flush=True)
            passed &= finding.status is not CheckStatus.FAILED
        return passed

    return 0 if asyncio.run(print_findings()) else 1


async def check(environ: Mapping[str, str], *, create: bool) -> AsyncIterator[Finding]:
    """Makes one check after the other, also after a failed one; unusable settings end it."""
    for text in find_misspellings(FacadeSettings, environ):
        yield Finding(CheckStatus.WARNING, "settings", text)
    try:
        settings = from_env(FacadeSettings, environ)
        http_address(settings)
        grpc_address(settings, grpc_security(settings))
        monitor_access(settings, openid_sign_in(settings))
        record_codes(settings)
        job_secrets(settings)
        client = confidential_client(settings)
        client_arguments(settings)
        providers.exported_signals(environ)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "settings", str(error))
        return
    yield Finding(CheckStatus.OK, "settings", "each can be used")
    for finding in _check_certificates(settings):
        yield finding
    yield _check_state(settings)
    for finding in _check_record_codes(settings):
        yield finding
    yield await _check_authority(settings)
    if client:
        yield await _check_client(client, settings)
    async for finding in check_kafka(settings, create=create or settings.create_topics):
        yield finding


def _check_certificates(settings: FacadeSettings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    try:
        found = validities(settings)
    except SettingsError as error:
        yield Finding(CheckStatus.FAILED, "tls", str(error))
        return
    for validity in found:
        status = CheckStatus.OK
        if not validity.covers(now):
            status = CheckStatus.FAILED
        elif validity.needs_renewal(now):
            status = CheckStatus.WARNING
        yield Finding(status, "tls", validity.describe(now))


def _check_record_codes(settings: FacadeSettings) -> Iterator[Finding]:
    codes = record_codes(settings)
    if codes is None:
        return
    keys = f"keys: {', '.join(codes.key_ids)}"
    if settings.record_codes == "require":
        yield Finding(CheckStatus.OK, "codes", f"a record without a code is refused; {keys}")
    else:
        text = (
            f"a record without a code is taken; {keys}\n"
            f"Set {variable('record_codes')}=require once every facade has had keys for as long as "
            "the topic keeps records."
        )
        yield Finding(CheckStatus.WARNING, "codes", text)


def _check_state(settings: FacadeSettings) -> Finding:
    try:
        file = settings.state_file()
    except SettingsError as error:
        return Finding(CheckStatus.FAILED, "state", str(error))
    text = (
        f"is kept in {file}" if file else "is kept in memory, so each start reads the whole topic"
    )
    return Finding(CheckStatus.OK, "state", text)


async def _check_authority(settings: FacadeSettings) -> Finding:
    try:
        checker = authenticator(settings)
        if checker is None:
            text = "authentication is off: any client that can connect may call the HTTP API"
            return Finding(CheckStatus.WARNING, "authority", text)
        count = await checker.keys.fetch()
    except (SettingsError, AuthorityError) as error:
        return Finding(CheckStatus.FAILED, "authority", str(error))
    if not count:
        text = (
            f"{settings.authority} publishes no RSA key. Set another one in FABRIC_JOBS_AUTHORITY."
        )
        return Finding(CheckStatus.FAILED, "authority", text)
    return Finding(CheckStatus.OK, "authority", f"{count} keys from {settings.authority}")


async def _check_client(client: "ConfidentialClient", settings: FacadeSettings) -> Finding:
    fault = await verify_client(client, settings.on_behalf_of_scope)
    client.close()
    if fault:
        return Finding(CheckStatus.FAILED, "client", fault)
    text = f"the authority gives the workload tokens for {settings.on_behalf_of_scope}"
    return Finding(CheckStatus.OK, "client", text)
