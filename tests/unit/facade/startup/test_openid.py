"""The settings of the sign-in by OpenID Connect, and the errors for settings that contradict."""

from typing import Any

import pytest

from fabric_jobs.facade.monitor import OpenIdSignIn
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.openid import openid_sign_in
from fabric_jobs.facade.startup.security import monitor_access
from fabric_jobs.runtime.settings import Secret, SettingsError

WHOLE: dict[str, Any] = {
    "monitor": True,
    "http_address": "0.0.0.0:5000",
    "monitor_openid_issuer": "https://login.microsoftonline.com/t/v2.0",
    "monitor_openid_client_id": "c",
    "monitor_openid_client_secret": Secret("s"),
    "monitor_openid_operators": ("jobs.operator",),
    "monitor_url": "https://jobs.example.com/monitor/",
}


def test_openid_sign_in_with_all_settings_closes_the_monitor() -> None:
    """No token is needed beyond loopback then."""
    settings = FacadeSettings(**WHOLE)
    people = openid_sign_in(settings)
    access = monitor_access(settings, people)

    assert isinstance(people, OpenIdSignIn)
    assert people.is_secure
    assert access
    assert (access.is_open, access.has_tokens, access.viewer(None)) == (False, False, None)


def test_openid_sign_in_without_settings_is_none() -> None:
    """The monitor may be on or off."""
    assert openid_sign_in(FacadeSettings()) is None
    assert openid_sign_in(FacadeSettings(monitor=True)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor_openid_issuer": ""}, "CLIENT_ID needs FABRIC_JOBS_MONITOR_OPENID_ISSUER"),
        ({"monitor": False}, "the job monitor is off"),
        ({"monitor_url": ""}, "needs FABRIC_JOBS_MONITOR_URL"),
        ({"monitor_openid_client_secret": None}, "needs FABRIC_JOBS_MONITOR_OPENID_CLIENT_SECRET"),
        ({"monitor_openid_operators": ()}, "OPENID_READERS or FABRIC_JOBS_MONITOR_OPENID_OPERATO"),
        ({"monitor_url": "http://jobs.example.com/monitor"}, "must be https, except on loopback"),
        ({"monitor_openid_issuer": "http://login.example.com"}, "must be https"),
        ({"monitor_url": "https://jobs.example.com"}, "must end with /monitor"),
    ],
)
def test_openid_settings_that_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    """The error names the variable."""
    with pytest.raises(SettingsError, match=message):
        openid_sign_in(FacadeSettings(**WHOLE | changes))


def test_openid_sign_in_on_loopback_may_be_without_https() -> None:
    """For development, with a provider on this machine."""
    urls = {
        "monitor_openid_issuer": "http://127.0.0.1:9/t",
        "monitor_url": "http://localhost:5000/monitor",
    }
    people = openid_sign_in(FacadeSettings(**WHOLE | urls))

    assert people
    assert not people.is_secure
