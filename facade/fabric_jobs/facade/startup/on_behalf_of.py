"""Builds what gets tokens on behalf of users, if the settings ask for it."""

import logging
from typing import TYPE_CHECKING, NamedTuple

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.facade.log import Log, RecordCodes
from fabric_jobs.facade.on_behalf_of import Grants, OnBehalfOf, TokenError
from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.facade.on_behalf_of.scopes import find_reserved_scope
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.security import sealer
from fabric_jobs.runtime.settings import SettingsError, variable

if TYPE_CHECKING:
    from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient

log = logging.getLogger("fabric_jobs.facade")

_EXTRA = (
    "Tokens on behalf of users need the extra fabric-jobs[on-behalf-of]: msal is not installed. "
    "Install it from a checkout or a wheel: pip install 'PATH[on-behalf-of]'."
)


class OnBehalfOfParts(NamedTuple):
    """The parts of on-behalf-of in a replica."""

    client: "ConfidentialClient"
    grants_log: Log
    grants: Grants
    on_behalf_of: OnBehalfOf


def confidential_client(settings: FacadeSettings) -> "ConfidentialClient | None":
    """The workload as the authority's client; None if no secret and no certificate is set.

    Raises `SettingsError`.
    """
    secret, certificate = settings.client_secret, settings.client_certificate_file
    if not (secret or certificate):
        return None
    if secret and certificate:
        raise SettingsError(
            f"{variable('client_secret')} and {variable('client_certificate_file')} are both set: "
            "set only one of them."
        )
    which = variable("client_secret" if secret else "client_certificate_file")
    if settings.authentication == "off":
        raise SettingsError(
            f"{which} is set, and without authentication no user's token arrives. Set "
            f"{variable('authentication')}=on, or leave it out."
        )
    if settings.sealing_keys is None:
        raise SettingsError(
            f"{which} needs {variable('sealing_keys')}, because what is kept to refresh users' "
            "tokens must be sealed. Set it too, or leave both out."
        )
    authority = (settings.token_authority or settings.authority).rstrip("/")
    if not authority.startswith("https://"):
        raise SettingsError(
            f"{which} is sent to the authority, and {authority} is not https. Set "
            f"{variable('token_authority')}."
        )
    if reserved := find_reserved_scope(settings.on_behalf_of_scope):
        raise SettingsError(
            f"{variable('on_behalf_of_scope')} must be the scope of a resource, and {reserved} "
            "belongs to no resource."
        )
    try:
        from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient
    except ImportError as error:
        raise SettingsError(_EXTRA) from error
    try:
        credential = Credential(secret=secret, certificate_file=certificate)
    except (OSError, SettingsError) as error:
        raise SettingsError(
            f"{which}={str(certificate)!r} can't be used ({error}). Name a PEM file with a "
            "certificate and its RSA key, without a passphrase."
        ) from error
    return ConfidentialClient(
        canonical_guid(settings.client_id),
        credential,
        authority,
        canonical_guid(settings.publisher_tenant_id),
        settings.token_authority_ca_file,
    )


async def connect_on_behalf_of(
    settings: FacadeSettings, codes: RecordCodes | None, replica: Replica, roster: Roster
) -> OnBehalfOfParts | None:
    """The parts, connected to the grants topic; None if on-behalf-of is off.

    Raises `SettingsError`, `KafkaRefusedError` and `LogError`.
    """
    client = confidential_client(settings)
    if client is None:
        return None
    seals = sealer(settings, settings.grants_topic)
    assert seals
    grants_log = Log(settings, topics.grants(settings), codes)
    await grants_log.connect()
    grants = Grants(
        grants_log,
        seals,
        replica.get,
        roster.peers.rank,
        longest_life_s=settings.longest_life_s,
        record_time=settings.broker.record_time,
        clock=roster.clock,
    )
    on_behalf_of = OnBehalfOf(
        client, grants, settings.on_behalf_of_scope, settings.append_deadline_s
    )
    replica.listeners.update({grants.on_change, on_behalf_of.on_change})
    return OnBehalfOfParts(client, grants_log, grants, on_behalf_of)


async def run_on_behalf_of(parts: OnBehalfOfParts, settings: FacadeSettings) -> None:
    """Says at the start if the authority refuses the client, and then deletes grants."""
    await verify_client(parts.client, settings.on_behalf_of_scope)
    await parts.grants.run()


async def verify_client(client: "ConfidentialClient", scope: str) -> str:
    """Asks the authority for a token of the workload. Returns why it gives none; empty if it does.

    An authority that is away now may be there when a job comes.
    """
    try:
        await client.app_token(scope)
    except TokenError as error:
        log.error("no job can get a user's token: %s", error)
        return str(error)
    return ""
