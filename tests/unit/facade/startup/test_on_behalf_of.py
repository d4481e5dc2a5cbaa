"""The settings of on-behalf-of, and the errors for settings that contradict each other."""

import builtins
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fabric_jobs.facade.log.topic import _new_topic_config, _requirements
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.on_behalf_of import confidential_client
from fabric_jobs.runtime.settings import SettingsError, from_env
from tests.support.certificates import write_rsa_certificate
from tests.support.sealing import ring_key

RIGHT = {
    "FABRIC_JOBS_PUBLISHER_TENANT_ID": "de000000-0000-4000-8000-0000000000b1",
    "FABRIC_JOBS_CLIENT_ID": "DE000000-0000-4000-8000-0000000000C1",
    "FABRIC_JOBS_AUDIENCE": "api://contoso",
    "FABRIC_JOBS_CLIENT_SECRET": "the secret",
    "FABRIC_JOBS_SEALING_KEYS": ring_key("one"),
}


def client(changes: Mapping[str, str]) -> Any:
    """The client by the right settings with these changes."""
    return confidential_client(from_env(FacadeSettings, {**RIGHT, **changes}))


def test_secret_or_certificate_turns_it_on(tmp_path: Path) -> None:
    """Without either, nothing of a token is kept."""
    certificate = str(write_rsa_certificate(tmp_path))

    assert client({})
    assert client(
        {"FABRIC_JOBS_CLIENT_SECRET": "", "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": certificate}
    )
    assert client({"FABRIC_JOBS_CLIENT_SECRET": ""}) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": "/x.pem"}, "are both set"),
        ({"FABRIC_JOBS_AUTHENTICATION": "off"}, "FABRIC_JOBS_AUTHENTICATION=on"),
        (
            {"FABRIC_JOBS_ON_BEHALF_OF_SCOPE": "https://x/.default offline_access"},
            "FABRIC_JOBS_ON_BEHALF_OF_SCOPE must be",
        ),
        ({"FABRIC_JOBS_SEALING_KEYS": ""}, "FABRIC_JOBS_SEALING_KEYS"),
        ({"FABRIC_JOBS_AUTHORITY": "http://127.0.0.1:5002"}, "FABRIC_JOBS_TOKEN_AUTHORITY"),
        (
            {
                "FABRIC_JOBS_CLIENT_SECRET": "",
                "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": "/there/is/none.pem",
            },
            "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE='/there/is/none.pem' can't be used",
        ),
        (
            {
                "FABRIC_JOBS_CLIENT_SECRET": "",
                "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": __file__,
            },
            "Name a PEM file",
        ),
    ],
)
def test_contradicting_settings_are_refused_with_what_to_set(
    changes: dict[str, str], named: str
) -> None:
    """The error never shows the secret."""
    with pytest.raises(SettingsError) as error:
        client(changes)

    assert named in str(error.value)
    assert "the secret" not in str(error.value)


def test_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    """MSAL would raise an error at the first request, which would end the facade."""
    file = write_rsa_certificate(tmp_path)
    pem = file.read_text(encoding="ascii")
    file.write_text(pem[pem.index("-----BEGIN CERT") :], encoding="ascii")

    with pytest.raises(SettingsError, match=r"CERTIFICATE_FILE='.*' can't be used \(the key is no"):
        client({"FABRIC_JOBS_CLIENT_SECRET": "", "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE": str(file)})


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The facade needs MSAL only if it is used."""
    for name in ("client", "http_client"):
        monkeypatch.delitem(sys.modules, f"fabric_jobs.facade.on_behalf_of.{name}", raising=False)
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "msal":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SettingsError, match=r"fabric-jobs\[on-behalf-of\]"):
        client({})


def test_topic_of_grants_erases_what_was_deleted() -> None:
    """A topic that keeps every record, or none that is old, is refused."""
    settings = FacadeSettings(longest_life_s=86_400)
    spec = topics.grants(settings)
    config = _new_topic_config(spec)
    requirements = _requirements(spec)
    wrong = {"cleanup.policy": "delete", "max.compaction.lag.ms": str(2**62)}

    assert config["cleanup.policy"] == "compact,delete"
    assert config["retention.ms"] == str(25 * 3_600_000)
    assert all(check(config[name]) for name, (check, _, _) in requirements.items())
    assert requirements["cleanup.policy"][0]("delete, compact")
    for name, value in wrong.items():
        assert not requirements[name][0](value)
