"""Who may reach a replica, as its settings say it: what is half said is refused."""

import logging
import ssl

from fabric_jobs.contract.guids import canonical, guid
from fabric_jobs.facade.auth import Authenticator, Trust
from fabric_jobs.facade.http import AdmissionRules
from fabric_jobs.facade.monitor import PATH, MonitorAccess, MonitorRole
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import PREFIX, SettingsError, host_port, is_loopback, variable
from fabric_jobs.runtime.tls import mutual_tls

log = logging.getLogger("fabric_jobs.facade")

#: Of what people sign in to the monitor with; nobody should guess it.
MIN_TOKEN_CHARS = 16
_GRPC_FILES = ("grpc_tls_client_ca_file", "grpc_tls_cert_file", "grpc_tls_key_file")


def http_address(settings: FacadeSettings) -> tuple[str, int]:
    """Where to bind HTTP. Raises `SettingsError` beyond loopback without authentication."""
    host, port = host_port(settings.http_address)
    if settings.authentication == "off" and not is_loopback(host):
        raise SettingsError(
            f"{PREFIX}HTTP_ADDRESS={settings.http_address} is not on loopback, and authentication "
            f"is off. Use 127.0.0.1:{port}, or set {PREFIX}AUTHENTICATION=on."
        )
    return host, port


def grpc_address(settings: FacadeSettings, security: RpcSecurity | None) -> tuple[str, int]:
    """Where to bind gRPC. Raises `SettingsError` beyond loopback without security."""
    host, port = host_port(settings.grpc_address)
    if security is None and not is_loopback(host):
        raise SettingsError(
            f"{PREFIX}GRPC_ADDRESS={settings.grpc_address} is not on loopback, and gRPC has no "
            f"mutual TLS. Use 127.0.0.1:{port}, or set {', '.join(map(variable, _GRPC_FILES))}."
        )
    return host, port


def grpc_security(settings: FacadeSettings) -> RpcSecurity | None:
    """Who may call gRPC; none where everybody on loopback may. Raises `SettingsError`."""
    ca, cert, key = _GRPC_FILES
    files = mutual_tls(ssl.Purpose.CLIENT_AUTH, settings, ca=ca, cert=cert, key=key)
    names = {role: frozenset[str](getattr(settings, f"grpc_{role}")) for role in RpcRole}
    named = any(names.values())
    if files and not named:
        raise SettingsError(
            f"gRPC has mutual TLS, and nobody may call it: name clients in "
            f"{', '.join(variable(f'grpc_{role}') for role in RpcRole)}."
        )
    if named and not files:
        raise SettingsError(
            "gRPC knows clients by their certificates: set "
            f"{', '.join(map(variable, _GRPC_FILES))}."
        )
    return RpcSecurity(files, names) if files else None


def authenticator(settings: FacadeSettings) -> Authenticator | None:
    """Whom to trust; none where authentication is off. Raises `SettingsError`."""
    if settings.authentication == "off":
        log.warning("authentication is off: whoever reaches a port may do everything")
        return None
    needed = ("publisher_tenant_id", "audience", "client_id")
    missing = [f"{PREFIX}{name.upper()}" for name in needed if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"Authentication needs {' and '.join(missing)}: take them from the workload's Entra "
            f"app. To try things on loopback, set {PREFIX}AUTHENTICATION=off."
        )
    return Authenticator(
        Trust(
            authority=settings.authority.rstrip("/"),
            publisher_tenant=guid(settings.publisher_tenant_id),
            audience=settings.audience,
            client_id=canonical(settings.client_id),
            fabric_app_ids=frozenset(map(guid, settings.fabric_app_ids)),
            skew_s=settings.clock_skew_s,
        )
    )


def monitor_access(settings: FacadeSettings) -> MonitorAccess | None:
    """Who may see the job monitor; none where it is not served. Raises `SettingsError`."""
    given = {
        role: secret
        for role in MonitorRole
        if (secret := getattr(settings, f"monitor_{role}_token"))
    }
    names = " or ".join(variable(f"monitor_{role}_token") for role in MonitorRole)
    if not settings.monitor:
        if given:
            raise SettingsError(f"{names} is set, and no monitor: set {variable('monitor')}=true.")
        return None
    if f"{settings.base_path}/".startswith(f"{PATH}/"):
        raise SettingsError(
            f"{variable('base_path')}={settings.base_path} is the job monitor's: choose another."
        )
    host, _ = host_port(settings.http_address)
    if not given and not is_loopback(host):
        raise SettingsError(
            f"{variable('monitor')}=true, {settings.http_address} is not on loopback, and nobody "
            f"can sign in: set {names}, or leave the monitor out."
        )
    for role, secret in given.items():
        if len(secret.reveal()) < MIN_TOKEN_CHARS:
            raise SettingsError(
                f"{variable(f'monitor_{role}_token')} is shorter than {MIN_TOKEN_CHARS} "
                "characters: `openssl rand -base64 24` makes one that would do."
            )
    if len(set(given.values())) < len(given):
        raise SettingsError(f"{names.replace(' or ', ' and ')} are the same: give each its own.")
    return MonitorAccess(given)


def admission(settings: FacadeSettings) -> AdmissionRules:
    """What is let in, beside who."""
    return AdmissionRules(
        subject_required=frozenset(settings.subject_token_required),
        item_types=frozenset(settings.item_types),
        job_types=frozenset(settings.job_types),
        tenant_creates_per_s=settings.tenant_creates_per_s,
        tenant_unfinished_jobs=settings.tenant_unfinished_jobs,
    )
