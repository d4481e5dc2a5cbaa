"""Who may reach a replica, as its settings say it: what is half said is refused."""

import ipaddress
import logging

from fabric_jobs.guids import guid
from fabric_jobs.settings import PREFIX, SettingsError, host_port
from facade.auth import Authenticator, Trust
from facade.http import Admission
from facade.settings import FacadeSettings

log = logging.getLogger("fabric_jobs.facade")


def http_address(settings: FacadeSettings) -> tuple[str, int]:
    """Where to bind HTTP. Raises `SettingsError` beyond loopback without authentication."""
    host, port = host_port(settings.http_address)
    if settings.authentication == "off" and not _loopback(host):
        raise SettingsError(
            f"{PREFIX}HTTP_ADDRESS={settings.http_address} is not on loopback, and authentication "
            f"is off. Use 127.0.0.1:{port}, or set {PREFIX}AUTHENTICATION=on."
        )
    return host, port


def grpc_address(settings: FacadeSettings) -> tuple[str, int]:
    """Where to bind gRPC. Raises `SettingsError` beyond loopback."""
    host, port = host_port(settings.grpc_address)
    if not _loopback(host):
        raise SettingsError(
            f"{PREFIX}GRPC_ADDRESS={settings.grpc_address} is not on loopback, and gRPC "
            f"authenticates nobody yet. Use 127.0.0.1:{port}."
        )
    return host, port


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
            client_id=str(guid(settings.client_id)),
            fabric_app_ids=frozenset(map(guid, settings.fabric_app_ids)),
            skew_s=settings.clock_skew_s,
        )
    )


def admission(settings: FacadeSettings) -> Admission:
    """What is let in, beside who."""
    return Admission(
        subject_required=frozenset(settings.subject_token_required),
        item_types=frozenset(settings.item_types),
        job_types=frozenset(settings.job_types),
        tenant_creates_per_s=settings.tenant_creates_per_s,
        tenant_unfinished_jobs=settings.tenant_unfinished_jobs,
    )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
