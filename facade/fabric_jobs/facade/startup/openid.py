"""The sign-in to the monitor by OpenID Connect, by the settings."""

from fabric_jobs.facade.monitor import PATH, MonitorRole, OpenIdSettings, OpenIdSignIn
from fabric_jobs.facade.monitor.sign_in import CALLBACK
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import SettingsError, is_secure_url, variable

_NEEDED = ("monitor_openid_client_id", "monitor_openid_client_secret", "monitor_url")
_ROLES = ("monitor_openid_readers", "monitor_openid_operators")


def openid_sign_in(settings: FacadeSettings) -> OpenIdSignIn | None:
    """The sign-in of people; None if there is no provider.

    Raises `SettingsError` if a setting for it is missing, or if a secret would travel in clear.
    """
    name = variable("monitor_openid_issuer")
    given = [field for field in (*_NEEDED, *_ROLES) if getattr(settings, field)]
    if not settings.monitor_openid_issuer:
        if given:
            raise SettingsError(
                f"{variable(given[0])} needs {name}: set it too, or leave both out."
            )
        return None
    if not settings.monitor:
        raise SettingsError(
            f"{name} is set, and the job monitor is off. Set {variable('monitor')}=true."
        )
    missing = [variable(field) for field in _NEEDED if field not in given]
    if not any(field in given for field in _ROLES):
        missing.append(" or ".join(map(variable, _ROLES)))
    if missing:
        raise SettingsError(f"{name} needs {' and '.join(missing)}.")
    issuer, url = settings.monitor_openid_issuer, settings.monitor_url.rstrip("/")
    for field, address in (("monitor_openid_issuer", issuer), ("monitor_url", url)):
        if not is_secure_url(address):
            raise SettingsError(f"{variable(field)}={address} must be https, except on loopback.")
    if not url.endswith(PATH):
        raise SettingsError(f"{variable('monitor_url')}={url} must end with {PATH}.")
    secret = settings.monitor_openid_client_secret
    assert secret
    return OpenIdSignIn(
        OpenIdSettings(
            issuer=issuer,
            client_id=settings.monitor_openid_client_id,
            client_secret=secret,
            redirect_url=f"{url}{CALLBACK}",
            roles={
                MonitorRole.READER: frozenset(settings.monitor_openid_readers),
                MonitorRole.OPERATOR: frozenset(settings.monitor_openid_operators),
            },
            refresh_s=settings.authority_refresh_s,
            skew_s=settings.clock_skew_s,
        )
    )
