"""Who may call a replica: the settings, and the errors for settings that contradict."""

import base64
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
    admission_rules,
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    monitor_access,
    record_codes,
    sealer,
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
    """The three files of mutual TLS, as settings."""
    authority = Authority(tmp_path)
    server = authority.server()
    return {
        "grpc_tls_client_ca_file": authority.ca,
        "grpc_tls_cert_file": server.cert,
        "grpc_tls_key_file": server.key,
    }


def test_authenticator_no_settings_is_refused_because_authentication_is_on() -> None:
    """A facade that does not know whom to trust does not start."""
    with pytest.raises(SettingsError, match="Authentication needs") as raised:
        authenticator(from_env(FacadeSettings, {}))

    assert [variable in str(raised.value) for variable in NEEDED.values()] == [True] * 3


@pytest.mark.parametrize(
    "missing",
    [names for count in (1, 2, 3) for names in combinations(NEEDED, count)],
    ids=" and ".join,
)
def test_authenticator_settings_missing_error_names_exactly_those(
    missing: tuple[str, ...],
) -> None:
    """It names each variable, and says what to do."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_AUTHENTICATION=off") as raised:
        authenticator(replace(WHOLE, **dict.fromkeys(missing, "")))

    named = {name for name, variable in NEEDED.items() if variable in str(raised.value)}
    assert named == set(missing)


@pytest.mark.parametrize("text", ["contoso", "1", "api://de000000", PUBLISHER_TENANT + "0"])
@pytest.mark.parametrize("name", ["publisher_tenant_id", "client_id"])
def test_settings_malformed_guid_error_names_variable_and_value(name: str, text: str) -> None:
    """A GUID with a digit too many is malformed too."""
    with pytest.raises(SettingsError, match=f"^{NEEDED[name]}='{text}' is not a GUID"):
        from_env(FacadeSettings, {NEEDED[name]: text})


def test_settings_malformed_guid_in_a_list_error_names_variable_and_value() -> None:
    """The other ids of the list are well-formed."""
    ids = f"{CLIENT_ID},Fabric"
    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_FABRIC_APP_IDS='{ids}' is not a GUID"):
        from_env(FacadeSettings, {"FABRIC_JOBS_FABRIC_APP_IDS": ids})


async def test_authenticator_authority_with_a_final_slash_is_asked_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The URL of the request has one slash there."""
    monkeypatch.setattr("fabric_jobs.facade.auth.keys.START_S", 0.1)
    made = authenticator(replace(WHOLE, authority="http://127.0.0.1:1/"))
    assert made is not None

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:1/common/"):
        await made.keys.start()


def test_authenticator_complete_settings_is_made() -> None:
    """The GUIDs may be in any letter case."""
    capitals = replace(
        WHOLE, publisher_tenant_id=PUBLISHER_TENANT.upper(), client_id=CLIENT_ID.upper()
    )

    assert isinstance(authenticator(WHOLE), Authenticator)
    assert isinstance(authenticator(capitals), Authenticator)


def test_settings_fabric_app_ids_default_is_the_two_that_microsoft_publishes() -> None:
    """Fabric's tokens come from either app."""
    assert {UUID(text) for text in FacadeSettings().fabric_app_ids} == {
        UUID("00000009-0000-0000-c000-000000000000"),
        UUID("d2450708-699c-41e3-8077-b0c8341509aa"),
    }


def test_authenticator_authentication_off_is_none_and_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every caller counts as Fabric, and the log says so."""
    with caplog.at_level(logging.WARNING, "fabric_jobs.facade"):
        assert authenticator(FacadeSettings(authentication="off")) is None

    assert "authentication is off" in caplog.text


@pytest.mark.parametrize("word", ["ON", "true", "none", "0"])
def test_settings_authentication_neither_on_nor_off_is_refused(word: str) -> None:
    """No other word stands for one of the two."""
    with pytest.raises(SettingsError, match=f"^FABRIC_JOBS_AUTHENTICATION='{word}'"):
        from_env(FacadeSettings, {"FABRIC_JOBS_AUTHENTICATION": word})


@pytest.mark.parametrize("address", BEYOND)
def test_http_address_beyond_loopback_without_authentication_is_refused(address: str) -> None:
    """The error names both variables, because a change of either one helps."""
    settings = FacadeSettings(authentication="off", http_address=address)

    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_HTTP_ADDRESS=") as raised:
        http_address(settings)
    assert address in str(raised.value)
    assert "FABRIC_JOBS_AUTHENTICATION=on" in str(raised.value)


@pytest.mark.parametrize("address", [*LOOPBACK, *BEYOND])
def test_http_address_with_authentication_may_be_any(address: str) -> None:
    """Only Fabric can call."""
    host, port = http_address(replace(WHOLE, http_address=address))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


@pytest.mark.parametrize("address", LOOPBACK)
def test_http_address_on_loopback_without_authentication_is_allowed(address: str) -> None:
    """This is for development."""
    host, port = http_address(FacadeSettings(authentication="off", http_address=address))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


@pytest.mark.parametrize("authentication", ["on", "off"])
@pytest.mark.parametrize("address", BEYOND)
def test_grpc_address_beyond_loopback_without_tls_is_refused(
    address: str, authentication: str
) -> None:
    """HTTP's authentication does not protect gRPC."""
    environ = {
        "FABRIC_JOBS_GRPC_ADDRESS": address,
        "FABRIC_JOBS_AUTHENTICATION": authentication,
    }

    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_GRPC_ADDRESS=") as raised:
        grpc_address(from_env(FacadeSettings, environ), None)
    assert address in str(raised.value)
    assert "FABRIC_JOBS_GRPC_TLS_CERT_FILE" in str(raised.value)


@pytest.mark.parametrize("address", [*LOOPBACK, *BEYOND])
def test_grpc_address_with_mutual_tls_may_be_any(address: str, tls: dict[str, Any]) -> None:
    """A client needs a certificate and a role."""
    settings = FacadeSettings(grpc_address=address, grpc_readers=("reader",), **tls)
    host, port = grpc_address(settings, grpc_security(settings))

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


def test_grpc_security_names_set_have_their_roles(tls: dict[str, Any]) -> None:
    """A name may have several roles."""
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
            RpcRole.FACADES: frozenset(),
        },
    )


def test_grpc_security_without_tls_is_none() -> None:
    """On loopback, every client may call every method."""
    assert grpc_security(FacadeSettings()) is None


@pytest.mark.parametrize("role", RpcRole)
def test_grpc_security_role_without_tls_is_refused(role: RpcRole) -> None:
    """The role would have no effect."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE"):
        grpc_security(from_env(FacadeSettings, {f"FABRIC_JOBS_GRPC_{role.upper()}": "one"}))


def test_grpc_security_tls_without_a_role_is_refused(tls: dict[str, Any]) -> None:
    """No client could call a method."""
    with pytest.raises(
        SettingsError, match=r"no client may call it\. .*FABRIC_JOBS_GRPC_EXECUTORS"
    ):
        grpc_security(FacadeSettings(**tls))


def test_grpc_security_one_file_missing_is_refused(tls: dict[str, Any]) -> None:
    """The error names the missing file's variable."""
    del tls["grpc_tls_client_ca_file"]
    with pytest.raises(SettingsError, match="set FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE too"):
        grpc_security(FacadeSettings(grpc_readers=("reader",), **tls))


@pytest.mark.parametrize("address", LOOPBACK)
def test_grpc_address_on_loopback_without_tls_is_allowed(address: str) -> None:
    """The host may be a number or a name."""
    host, port = grpc_address(FacadeSettings(grpc_address=address), None)

    assert f"{host}:{port}" == address.replace("[", "").replace("]", "")


def test_admission_rules_default_and_set_follow_the_settings() -> None:
    """By default a manual create needs a subject token, and nothing else is limited."""
    assert admission_rules(FacadeSettings()) == AdmissionRules(
        subject_required=frozenset({InvokeType.MANUAL})
    )
    environ = {
        "FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED": "Manual, Scheduled",
        "FABRIC_JOBS_ITEM_TYPES": "A.Item,B.Item",
        "FABRIC_JOBS_JOB_TYPES": "quick",
        "FABRIC_JOBS_TENANT_CREATES_PER_S": "0.5",
        "FABRIC_JOBS_TENANT_UNFINISHED_JOBS": "3",
    }
    assert admission_rules(from_env(FacadeSettings, environ)) == AdmissionRules(
        subject_required=frozenset({InvokeType.MANUAL, InvokeType.SCHEDULED}),
        item_types=frozenset({"A.Item", "B.Item"}),
        job_types=frozenset({"quick"}),
        tenant_creates_per_s=0.5,
        tenant_unfinished_jobs=3,
    )


def monitor(**settings: Any) -> MonitorAccess | None:
    """The access to the monitor by these settings."""
    values: dict[str, Any] = {
        name: Secret(value) if name.endswith("_token") else value
        for name, value in settings.items()
    }
    return monitor_access(FacadeSettings(**values))


def test_monitor_access_monitor_off_is_none_and_a_token_is_refused() -> None:
    """The token would have no effect."""
    assert monitor() is None
    with pytest.raises(SettingsError, match="FABRIC_JOBS_MONITOR=true"):
        monitor(monitor_reader_token="r" * 16)


@pytest.mark.parametrize("address", BEYOND)
def test_monitor_access_beyond_loopback_needs_a_token(address: str) -> None:
    """One token of either role is enough."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_MONITOR_OPERATOR_TOKEN"):
        monitor(monitor=True, http_address=address)

    access = monitor(monitor=True, http_address=address, monitor_reader_token="r" * 16)
    assert access
    assert not access.is_open


@pytest.mark.parametrize("base_path", ["/monitor", "/monitor/jobs"])
def test_monitor_access_base_path_under_the_monitor_is_refused(base_path: str) -> None:
    """One of the two would hide the other."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_BASE_PATH"):
        monitor(monitor=True, base_path=base_path)

    assert monitor(monitor=True, base_path="/monitored")


def test_monitor_access_on_loopback_is_open_without_a_token_and_closed_with_one() -> None:
    """An open monitor has no sign-in."""
    open_to_all = monitor(monitor=True)
    closed = monitor(monitor=True, monitor_operator_token="o" * 16)
    assert open_to_all
    assert closed

    assert open_to_all.is_open
    assert not closed.is_open


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({"monitor_reader_token": "short"}, "MONITOR_READER_TOKEN is shorter than 16"),
        ({"monitor_operator_token": "o" * 15}, "MONITOR_OPERATOR_TOKEN is shorter than 16"),
        (
            {"monitor_reader_token": "s" * 16, "monitor_operator_token": "s" * 16},
            "MONITOR_READER_TOKEN and FABRIC_JOBS_MONITOR_OPERATOR_TOKEN are the same",
        ),
    ],
)
def test_monitor_access_short_or_equal_tokens_are_refused(
    tokens: dict[str, str], message: str
) -> None:
    """A short token can be guessed; equal tokens make every reader an operator."""
    with pytest.raises(SettingsError, match=message):
        monitor(monitor=True, **tokens)


KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()


@pytest.mark.parametrize(
    ("environment", "rules"),
    [
        ({}, None),
        ({"FABRIC_JOBS_RECORD_KEYS": f"a:{KEY}"}, "require a:"),
        (
            {"FABRIC_JOBS_RECORD_KEYS": f"a:{KEY}", "FABRIC_JOBS_RECORD_CODES": "accept"},
            "accept a:",
        ),
    ],
)
def test_record_codes_follow_the_settings(environment: dict[str, str], rules: str | None) -> None:
    """Without keys there are no codes."""
    codes = record_codes(from_env(FacadeSettings, environment))

    assert codes is None if rules is None else codes and codes.rules.startswith(rules)


def test_record_keys_come_from_a_file_with_an_entry_in_each_line(tmp_path: Path) -> None:
    """A secret is mounted as a file."""
    file = tmp_path / "ring"
    file.write_text(f"new:{OTHER_KEY}\nold:{KEY}\n")
    codes = record_codes(from_env(FacadeSettings, {"FABRIC_JOBS_RECORD_KEYS_FILE": str(file)}))

    assert codes
    assert codes.key_ids == ["new", "old"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FABRIC_JOBS_RECORD_KEYS": "a:c2hvcnQ="}, "RECORD_KEYS can't be used. The key a has 5"),
        ({"FABRIC_JOBS_RECORD_CODES": "accept"}, "RECORD_CODES=accept needs .*RECORD_KEYS"),
    ],
)
def test_unusable_record_keys_are_refused(environment: dict[str, str], words: str) -> None:
    """The error names the variable, and never a key."""
    with pytest.raises(SettingsError, match=words) as error:
        record_codes(from_env(FacadeSettings, environment))
    assert "c2hvcnQ" not in str(error.value)


def test_sealing_keys_make_a_sealer_and_none_make_none() -> None:
    """Sealing is off by default."""
    assert sealer(FacadeSettings(), "t") is None
    environment = {"FABRIC_JOBS_SEALING_KEYS": f"b:{OTHER_KEY},a:{KEY}"}
    found = sealer(from_env(FacadeSettings, environment), "t")
    assert found
    assert found.key_ids == ["b", "a"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FABRIC_JOBS_SEALING_KEYS": "weak:cGFzc3dvcmQ="}, "SEALING_KEYS can't be used.*weak has"),
        ({"FABRIC_JOBS_SEALING_KEYS": f"a:{KEY},a:{OTHER_KEY}"}, "the same id"),
        ({"FABRIC_JOBS_SEALING_KEYS": f"a:{KEY},b:{KEY}"}, "the same key"),
        (
            {"FABRIC_JOBS_SEALING_KEYS": f"b:{KEY}", "FABRIC_JOBS_RECORD_KEYS": f"a:{KEY}"},
            "key b is also the key a of FABRIC_JOBS_RECORD_KEYS",
        ),
    ],
)
def test_unusable_sealing_keys_are_refused(environment: dict[str, str], words: str) -> None:
    """The error names the setting and the key, and never shows a key."""
    with pytest.raises(SettingsError, match=words) as error:
        sealer(from_env(FacadeSettings, environment), "t")
    assert KEY not in str(error.value)
