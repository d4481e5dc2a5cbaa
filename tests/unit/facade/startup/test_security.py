"""Who may reach a replica: settings that are half said are refused by name."""

import logging
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from fabric_jobs.cli.dev.issuer import AUDIENCE, CLIENT_ID, PUBLISHER_TENANT
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Authenticator, AuthorityError
from fabric_jobs.facade.http import AdmissionRules
from fabric_jobs.facade.monitor import MonitorAccess
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.security import (
    admission,
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    monitor_access,
)
from fabric_jobs.runtime.settings import Secret, SettingsError, from_env
from fabric_jobs.runtime.tls import PemFiles
from tests.support.certificates import Authority

WHOLE = FacadeSettings(publisher_tenant_id=PUBLISHER_TENANT, audience=AUDIENCE, client_id=CLIENT_ID)
NEEDED = {
    "publisher_tenant_id": "FABRIC_JOBS_PUBLISHER_TENANT_ID",
    "audience": "FABRIC_JOBS_AUDIENCE",
    "client_id": "FABRIC_JOBS_CLIENT_ID",
}
LOOPBACK = ["127.0.0.1:0", "127.9.9.9:5000", "localhost:5000", "[::1]:5000"]
BEYOND = [
    "0.0.0.0:5000",
    "[::]:5000",
    "10.0.0.1:5000",
    "facade.example.org:5000",
    "8.8.8.8:0",
]


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """The settings of a facade that has all three files."""
    authority = Authority(tmp_path)
    server = authority.server()
    return {
        "grpc_tls_client_ca_file": authority.ca,
        "grpc_tls_cert_file": server.cert,
        "grpc_tls_key_file": server.key,
    }


def test_nothing_said_is_authentication_on_and_refused() -> None:
    """A replica that was not told whom to trust does not start."""
    with pytest.raises(SettingsError, match="Authentication needs") as raised:
        authenticator(from_env(FacadeSettings, {}))

    assert [variable in str(raised.value) for variable in NEEDED.values()] == [True] * 3


@pytest.mark.parametrize(
    "missing",
    [names for count in (1, 2, 3) for names in combinations(NEEDED, count)],
    ids=" and ".join,
)
def test_what_is_missing_is_named_and_nothing_else(missing: tuple[str, ...]) -> None:
    """By the variable, with what to do."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_AUTHENTICATION=off") as raised:
        authenticator(replace(WHOLE, **dict.fromkeys(missing, "")))

    named = {name for name, variable in NEEDED.items() if variable in str(raised.value)}
    assert named == set(missing)


@pytest.mark.parametrize("text", ["contoso", "1", "api://de000000", PUBLISHER_TENANT + "0"])
@pytest.mark.parametrize("name", ["publisher_tenant_id", "client_id"])
def test_what_is_no_guid_is_refused_by_its_variable(name: str, text: str) -> None:
    """The message shows what it holds."""
    with pytest.raises(SettingsError, match=f"^{NEEDED[name]}='{text}' is not a GUID"):
        from_env(FacadeSettings, {NEEDED[name]: text})


def test_an_app_id_of_fabric_that_is_no_guid_is_refused() -> None:
    """Also as one of several."""
    ids = f"{CLIENT_ID},Fabric"
    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_FABRIC_APP_IDS='{ids}' is not a GUID"):
        from_env(FacadeSettings, {"FABRIC_JOBS_FABRIC_APP_IDS": ids})


async def test_an_authority_may_end_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked at one address, however it was written."""
    monkeypatch.setattr("fabric_jobs.facade.auth.keys.START_S", 0.1)
    trusted = authenticator(replace(WHOLE, authority="http://127.0.0.1:1/"))
    assert trusted is not None

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:1/common/"):
        await trusted.keys.start()


def test_the_whole_settings_make_an_authenticator() -> None:
    """GUIDs in any letter case."""
    capitals = replace(
        WHOLE, publisher_tenant_id=PUBLISHER_TENANT.upper(), client_id=CLIENT_ID.upper()
    )

    assert isinstance(authenticator(WHOLE), Authenticator)
    assert isinstance(authenticator(capitals), Authenticator)


def test_fabric_s_two_app_ids_are_the_default() -> None:
    """As Microsoft publishes them."""
    assert {UUID(text) for text in FacadeSettings().fabric_app_ids} == {
        UUID("00000009-0000-0000-c000-000000000000"),
        UUID("d2450708-699c-41e3-8077-b0c8341509aa"),
    }


def test_authentication_off_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is asked who it is, and the log warns."""
    with caplog.at_level(logging.WARNING, "fabric_jobs.facade"):
        assert authenticator(FacadeSettings(authentication="off")) is None

    assert "authentication is off" in caplog.text


@pytest.mark.parametrize("word", ["ON", "true", "none", "0"])
def test_authentication_is_on_or_off(word: str) -> None:
    """A word that is neither is not taken for either."""
    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_AUTHENTICATION='{word}'"):
        from_env(FacadeSettings, {"FABRIC_JOBS_AUTHENTICATION": word})


@pytest.mark.parametrize("address", BEYOND)
def test_http_beyond_loopback_without_authentication_is_refused(address: str) -> None:
    """Both variables are named: the one to change, or the other."""
    settings = FacadeSettings(authentication="off", http_address=address)

    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_HTTP_ADDRESS=") as raised:
        http_address(settings)
    assert address in str(raised.value)
    assert "FABRIC_JOBS_AUTHENTICATION=on" in str(raised.value)


@pytest.mark.parametrize("address", [*LOOPBACK, *BEYOND])
def test_http_with_authentication_binds_anywhere(address: str) -> None:
    """Whoever calls must be Fabric."""
    host, port = http_address(replace(WHOLE, http_address=address))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


@pytest.mark.parametrize("address", LOOPBACK)
def test_http_on_loopback_needs_no_authentication(address: str) -> None:
    """For development."""
    host, port = http_address(FacadeSettings(authentication="off", http_address=address))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


@pytest.mark.parametrize("authentication", ["on", "off"])
@pytest.mark.parametrize("address", BEYOND)
def test_grpc_beyond_loopback_is_refused(address: str, authentication: str) -> None:
    """Without certificates it authenticates nobody, whatever HTTP does."""
    environ = {
        "FABRIC_JOBS_GRPC_ADDRESS": address,
        "FABRIC_JOBS_AUTHENTICATION": authentication,
    }

    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_GRPC_ADDRESS=") as raised:
        grpc_address(from_env(FacadeSettings, environ), None)
    assert address in str(raised.value)
    assert "FABRIC_JOBS_GRPC_TLS_CERT_FILE" in str(raised.value)


@pytest.mark.parametrize("address", [*LOOPBACK, *BEYOND])
def test_grpc_with_mutual_tls_binds_anywhere(address: str, tls: dict[str, Any]) -> None:
    """Whoever calls must have a certificate, and a role."""
    settings = FacadeSettings(grpc_address=address, grpc_readers=("reader",), **tls)
    host, port = grpc_address(settings, grpc_security(settings))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


def test_grpc_s_clients_have_the_roles_that_the_settings_give(tls: dict[str, Any]) -> None:
    """A name may have several."""
    environ = {f"FABRIC_JOBS_{name.upper()}": str(path) for name, path in tls.items()} | {
        "FABRIC_JOBS_GRPC_EXECUTORS": "one, two",
        "FABRIC_JOBS_GRPC_OPERATORS": "two",
    }
    security = grpc_security(from_env(FacadeSettings, environ))

    assert security == RpcSecurity(
        PemFiles(*tls.values()),
        {
            RpcRole.EXECUTORS: frozenset({"one", "two"}),
            RpcRole.READERS: frozenset(),
            RpcRole.OPERATORS: frozenset({"two"}),
        },
    )


def test_grpc_without_tls_knows_nobody() -> None:
    """On loopback, whoever calls may do everything."""
    assert grpc_security(FacadeSettings()) is None


@pytest.mark.parametrize("role", RpcRole)
def test_a_role_without_tls_is_refused(role: RpcRole) -> None:
    """Whoever set it believes that it holds."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE"):
        grpc_security(from_env(FacadeSettings, {f"FABRIC_JOBS_GRPC_{role.upper()}": "one"}))


def test_tls_without_a_role_is_refused(tls: dict[str, Any]) -> None:
    """Nobody could call."""
    with pytest.raises(SettingsError, match=r"nobody may call it: .*FABRIC_JOBS_GRPC_EXECUTORS"):
        grpc_security(FacadeSettings(**tls))


def test_tls_that_is_half_said_is_refused(tls: dict[str, Any]) -> None:
    """Never is a part of it passed over."""
    del tls["grpc_tls_client_ca_file"]
    with pytest.raises(SettingsError, match="set FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE too"):
        grpc_security(FacadeSettings(grpc_readers=("reader",), **tls))


@pytest.mark.parametrize("address", LOOPBACK)
def test_grpc_on_loopback_is_taken(address: str) -> None:
    """By number or name."""
    host, port = grpc_address(FacadeSettings(grpc_address=address), None)

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


def test_admission_is_what_the_settings_say() -> None:
    """Unsaid, a user stands behind what was asked for by hand, and nothing else is limited."""
    assert admission(FacadeSettings()) == AdmissionRules(
        subject_required=frozenset({InvokeType.MANUAL})
    )
    environ = {
        "FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED": "Manual, Scheduled",
        "FABRIC_JOBS_ITEM_TYPES": "A.Item,B.Item",
        "FABRIC_JOBS_JOB_TYPES": "quick",
        "FABRIC_JOBS_TENANT_CREATES_PER_S": "0.5",
        "FABRIC_JOBS_TENANT_UNFINISHED_JOBS": "3",
    }
    assert admission(from_env(FacadeSettings, environ)) == AdmissionRules(
        subject_required=frozenset({InvokeType.MANUAL, InvokeType.SCHEDULED}),
        item_types=frozenset({"A.Item", "B.Item"}),
        job_types=frozenset({"quick"}),
        tenant_creates_per_s=0.5,
        tenant_unfinished_jobs=3,
    )


def monitor(**settings: Any) -> MonitorAccess | None:
    """Who sees the monitor by these settings."""
    given: dict[str, Any] = {
        name: Secret(value) if name.endswith("_token") else value
        for name, value in settings.items()
    }
    return monitor_access(FacadeSettings(**given))


def test_the_monitor_is_off_unless_it_is_asked_for() -> None:
    """A token alone does not ask for it: whoever set it believes that it holds."""
    assert monitor() is None
    with pytest.raises(SettingsError, match="FABRIC_JOBS_MONITOR=true"):
        monitor(monitor_reader_token="r" * 16)


@pytest.mark.parametrize("address", BEYOND)
def test_the_monitor_beyond_loopback_needs_a_sign_in(address: str) -> None:
    """Whichever of the two."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_MONITOR_OPERATOR_TOKEN"):
        monitor(monitor=True, http_address=address)

    seen_by = monitor(monitor=True, http_address=address, monitor_reader_token="r" * 16)
    assert seen_by
    assert not seen_by.is_open


@pytest.mark.parametrize("base_path", ["/monitor", "/monitor/jobs"])
def test_the_monitor_s_path_is_not_fabric_s(base_path: str) -> None:
    """One of them would be served in the other's place."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_BASE_PATH"):
        monitor(monitor=True, base_path=base_path)

    assert monitor(monitor=True, base_path="/monitored")


def test_the_monitor_on_loopback_needs_none() -> None:
    """Unless there is one."""
    open_to_all = monitor(monitor=True)
    closed = monitor(monitor=True, monitor_operator_token="o" * 16)
    assert open_to_all
    assert closed

    assert open_to_all.is_open
    assert not closed.is_open


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ({"monitor_reader_token": "short"}, "MONITOR_READER_TOKEN is shorter than 16"),
        ({"monitor_operator_token": "o" * 15}, "MONITOR_OPERATOR_TOKEN is shorter than 16"),
        (
            {"monitor_reader_token": "s" * 16, "monitor_operator_token": "s" * 16},
            "MONITOR_READER_TOKEN and FABRIC_JOBS_MONITOR_OPERATOR_TOKEN are the same",
        ),
    ],
)
def test_tokens_of_the_monitor_that_keep_nobody_out_are_refused(
    tokens: dict[str, str], told: str
) -> None:
    """Those that might be guessed, and those that make every reader an operator."""
    with pytest.raises(SettingsError, match=told):
        monitor(monitor=True, **tokens)
