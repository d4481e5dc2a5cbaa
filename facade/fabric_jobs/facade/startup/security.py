"""Who may call a replica, by its settings. Settings that contradict each other are refused."""

import logging
import ssl
from collections.abc import Callable
from datetime import datetime

from fabric_jobs.contract.guids import canonical_guid, parse_guid
from fabric_jobs.facade.auth import Authenticator, Trust
from fabric_jobs.facade.clock import utc_now
from fabric_jobs.facade.http import AdmissionRules, HttpLimits
from fabric_jobs.facade.http.limits import affordable_connections
from fabric_jobs.facade.log import RecordCodes
from fabric_jobs.facade.monitor import PATH, MonitorAccess, MonitorRole, OpenIdSignIn
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.sealing import JobSecrets, Sealer
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import (
    PREFIX,
    RingKey,
    Secret,
    SettingsError,
    host_port,
    is_loopback,
    read_ring,
    variable,
)
from fabric_jobs.runtime.tls import mutual_tls

log = logging.getLogger("fabric_jobs.facade")

#: The least length of a monitor token, so that nobody can guess it.
MIN_TOKEN_CHARS = 16
_GRPC_FILES = ("grpc_tls_client_ca_file", "grpc_tls_cert_file", "grpc_tls_key_file")


def http_address(settings: FacadeSettings) -> tuple[str, int]:
    """The host and port of the HTTP server.

    Raises `SettingsError` if the host is not on loopback and authentication is off.
    """
    host, port = host_port(settings.http_address)
    if settings.authentication == "off" and not is_loopback(host):
        raise SettingsError(
            f"{PREFIX}HTTP_ADDRESS={settings.http_address} is not on loopback, and authentication "
            f"is off. Use 127.0.0.1:{port}, or set {PREFIX}AUTHENTICATION=on."
        )
    return host, port


def grpc_address(settings: FacadeSettings, security: RpcSecurity | None) -> tuple[str, int]:
    """The host and port of the gRPC server.

    Raises `SettingsError` if the host is not on loopback and there is no `security`.
    """
    host, port = host_port(settings.grpc_address)
    if security is None and not is_loopback(host):
        raise SettingsError(
            f"{PREFIX}GRPC_ADDRESS={settings.grpc_address} is not on loopback, and gRPC has no "
            f"mutual TLS. Use 127.0.0.1:{port}, or set {', '.join(map(variable, _GRPC_FILES))}."
        )
    return host, port


def grpc_security(settings: FacadeSettings) -> RpcSecurity | None:
    """The TLS files and the client names of gRPC; None if gRPC has no TLS.

    Raises `SettingsError` if only some of the settings of mutual TLS are set.
    """
    ca, cert, key = _GRPC_FILES
    files = mutual_tls(ssl.Purpose.CLIENT_AUTH, settings, ca=ca, cert=cert, key=key)
    names = {role: frozenset[str](getattr(settings, f"grpc_{role}")) for role in RpcRole}
    has_names = any(names.values())
    if files and not has_names:
        raise SettingsError(
            "gRPC has mutual TLS, and no client may call it. Set certificate names in "
            f"{', '.join(variable(f'grpc_{role}') for role in RpcRole)}."
        )
    if has_names and not files:
        raise SettingsError(
            "gRPC identifies clients by their certificates. Set "
            f"{', '.join(map(variable, _GRPC_FILES))}."
        )
    return RpcSecurity(files, names) if files else None


def authenticator(settings: FacadeSettings) -> Authenticator | None:
    """The check of Fabric's tokens; None if authentication is off.

    Raises `SettingsError` if authentication is on and a setting for it is missing.
    """
    if settings.authentication == "off":
        log.warning("authentication is off: any client that can connect may call the HTTP API")
        return None
    needed = ("publisher_tenant_id", "audience", "client_id")
    missing = [f"{PREFIX}{name.upper()}" for name in needed if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"Authentication needs {' and '.join(missing)}. Take the values from the workload's "
            f"Entra app. For development on loopback, set {PREFIX}AUTHENTICATION=off."
        )
    return Authenticator(
        Trust(
            authority=settings.authority.rstrip("/"),
            publisher_tenant=parse_guid(settings.publisher_tenant_id),
            audience=settings.audience,
            client_id=canonical_guid(settings.client_id),
            fabric_app_ids=frozenset(map(parse_guid, settings.fabric_app_ids)),
            skew_s=settings.clock_skew_s,
        ),
        settings.authority_refresh_s,
    )


def record_codes(
    settings: FacadeSettings, now: Callable[[], datetime] = utc_now
) -> RecordCodes | None:
    """The codes of the records; None if there are no keys. Raises `SettingsError`.

    `now` returns the time that is written into a code.
    """
    required = settings.record_codes == "require"
    if settings.record_keys is None:
        if not required:
            raise SettingsError(
                f"{variable('record_codes')}={settings.record_codes} needs "
                f"{variable('record_keys')}: set it too, or leave both out."
            )
        return None
    keys = _read_ring("record_keys", settings.record_keys)
    record_time = settings.broker.record_time
    return RecordCodes(keys, required=required, record_time=record_time, now=now)


def sealer(settings: FacadeSettings, topic: str) -> Sealer | None:
    """Seals the secrets on this topic; None if there are no keys.

    Raises `SettingsError`, also if a key is one of the record codes' keys: a key has one use.
    """
    keys = _read_ring("sealing_keys", settings.sealing_keys)
    if not keys:
        return None
    record_keys = {key.secret: key.id for key in _read_ring("record_keys", settings.record_keys)}
    for key in keys:
        if key.secret in record_keys:
            raise SettingsError(
                f"{variable('sealing_keys')} can't be used. Its key {key.id} is also the key "
                f"{record_keys[key.secret]} of {variable('record_keys')}. Give each its own keys."
            )
    return Sealer(keys, topic)


def job_secrets(settings: FacadeSettings) -> JobSecrets:
    """Seals and opens the secrets of jobs; without keys it seals nothing.

    Raises `SettingsError`.
    """
    found = sealer(settings, settings.events_topic)
    if found is None and settings.sealing != "seal":
        raise SettingsError(
            f"{variable('sealing')}={settings.sealing} needs {variable('sealing_keys')}: set it "
            "too, or leave both out."
        )
    seals = found is not None and settings.sealing == "seal"
    return JobSecrets(found or Sealer((), settings.events_topic), seals=seals)


def _read_ring(field: str, ring: Secret | None) -> tuple[RingKey, ...]:
    """The keys of a ring; none if the setting is not set."""
    if ring is None:
        return ()
    try:
        return read_ring(ring.reveal())
    except ValueError as error:
        raise SettingsError(f"{variable(field)} can't be used. {error}") from error


def monitor_access(
    settings: FacadeSettings, people: OpenIdSignIn | None = None
) -> MonitorAccess | None:
    """Who may use the job monitor; None if the monitor is off.

    `people` signs people in at a provider; None if only tokens sign in.

    Raises `SettingsError` if the tokens do not keep strangers out.
    """
    tokens = {
        role: secret
        for role in MonitorRole
        if (secret := getattr(settings, f"monitor_{role}_token"))
    }
    names = " or ".join(variable(f"monitor_{role}_token") for role in MonitorRole)
    if not settings.monitor:
        if tokens:
            raise SettingsError(
                f"{names} is set, and the job monitor is off. Set {variable('monitor')}=true."
            )
        return None
    if f"{settings.base_path}/".startswith(f"{PATH}/"):
        raise SettingsError(
            f"{variable('base_path')}={settings.base_path} is the job monitor's path. "
            "Choose another."
        )
    host, _ = host_port(settings.http_address)
    if not tokens and people is None and not is_loopback(host):
        raise SettingsError(
            f"{variable('monitor')}=true, {settings.http_address} is not on loopback, and the "
            f"monitor has no sign-in. Set {names} or {variable('monitor_openid_issuer')}, or turn "
            "the monitor off."
        )
    for role, secret in tokens.items():
        if len(secret.reveal()) < MIN_TOKEN_CHARS:
            raise SettingsError(
                f"{variable(f'monitor_{role}_token')} is shorter than {MIN_TOKEN_CHARS} "
                "characters. `openssl rand -base64 24` makes a good one."
            )
    if len(set(tokens.values())) < len(tokens):
        raise SettingsError(
            f"{names.replace(' or ', ' and ')} are the same. Give each role its own token."
        )
    return MonitorAccess(tokens, people)


def admission_rules(settings: FacadeSettings) -> AdmissionRules:
    """Which creates are accepted from a caller that is authenticated."""
    return AdmissionRules(
        subject_required=frozenset(settings.subject_token_required),
        item_types=frozenset(settings.item_types),
        job_types=frozenset(settings.job_types),
        tenant_creates_per_s=settings.tenant_creates_per_s,
        tenant_unfinished_jobs=settings.tenant_unfinished_jobs,
    )


def http_limits(settings: FacadeSettings) -> HttpLimits:
    """The limits of the HTTP server."""
    return HttpLimits(
        idle_s=settings.http_idle_s,
        connections=affordable_connections(settings.http_connections),
        body_bytes=settings.body_limit_bytes + settings.definition_limit_bytes,
    )
