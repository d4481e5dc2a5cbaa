"""Settings from the environment: `FABRIC_JOBS_` and the field's name in capitals, or from files."""

import ipaddress
import logging
import socket
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from fabric_jobs import kinds
from fabric_jobs.brokers import BROKERS, Broker
from fabric_jobs.guids import guid
from fabric_jobs.secret import Secret
from fabric_jobs.topics import EVENTS_TOPIC

log = logging.getLogger("fabric_jobs.settings")

PREFIX = "FABRIC_JOBS_"
#: After a variable's name: the path of a file that holds the value.
FILE = "_FILE"
#: How alike a name must be to that of a setting to be taken for it misspelled.
CLOSE = 0.94

LogFormat = Literal["console", "json"]


class SettingsError(ValueError):
    """A setting can't be used; the message names it."""


def host_port(address: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`. Raises `SettingsError`."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    number = int(port) if port.isascii() and port.isdigit() else None
    if not colon or not host or number is None or number > 65535:
        raise SettingsError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:5000.")
    return host, number


def address_of(host: str, port: int) -> str:
    """`HOST:PORT` of the parts, as `host_port` takes it apart."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def family_of(host: str) -> socket.AddressFamily:
    """Which kind of socket binds it."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def addresses(text: str) -> tuple[str, ...]:
    """Each of the `HOST:PORT` that commas separate, at least one. Raises `SettingsError`."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    for address in found or [text]:
        host_port(address)
    return found


Address = Annotated[str, Meta(title="HOST:PORT", extra={"check": host_port})]
Addresses = Annotated[
    str, Meta(title="HOST:PORT, or several separated by commas", extra={"check": addresses})
]
Guid = Annotated[
    str,
    Meta(title="a GUID", examples=["0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"], extra={"check": guid}),
]
PemFile = Annotated[
    Path | None, Meta(title="the path of a PEM file", examples=["/etc/fabric-jobs/tls.pem"])
]
Url = Annotated[str, Meta(title="a URL of http or https", pattern=r"^https?://[^\s/]+\S*$")]

Topic = Annotated[
    str, Meta(title="letters, digits, dots, - and _", pattern=r"^[a-zA-Z0-9._-]{1,249}$")
]


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """How both programs find the log."""

    #: Where one or more of the brokers are.
    kafka_bootstrap_servers: Addresses = "127.0.0.1:9092"
    #: The kind of broker: `embedded` is the one that `fabric-jobs dev` carries.
    kafka_broker: Literal["apache", "embedded"] = "apache"
    #: How brokers are spoken to, in Kafka's words.
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    #: How the program says who it is, where the protocol has SASL.
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    #: The program's Kafka user.
    kafka_sasl_username: str = ""
    #: The user's password.
    kafka_sasl_password: Secret | None = None
    #: The authorities that sign the brokers' certificates; the system's if empty.
    kafka_ssl_ca_file: PemFile = None
    #: The program's own certificate, where brokers ask for one.
    kafka_ssl_cert_file: PemFile = None
    #: That certificate's key, without a passphrase; if empty, it is in the certificate's file.
    kafka_ssl_key_file: PemFile = None
    #: The topic of the job events.
    events_topic: Topic = EVENTS_TOPIC

    @property
    def broker(self) -> Broker:
        """The capabilities of the kind of broker."""
        return BROKERS[self.kafka_broker]


class ClientSettings(KafkaSettings, frozen=True, kw_only=True):
    """How an executor and the command find the log, and prove to facades who they are."""

    #: The authorities that sign the facades' certificates. The three files go
    #: together; without them gRPC is plain.
    facades_tls_ca_file: PemFile = None
    #: The certificate by which facades know this client.
    facades_tls_cert_file: PemFile = None
    #: That certificate's key, without a passphrase.
    facades_tls_key_file: PemFile = None


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


class Variable(NamedTuple):
    """The environment variable of a setting."""

    name: str
    field: str
    type: Any
    default: Any

    @property
    def example(self) -> str:
        """A value that would do."""
        return kinds.example(self.type) or kinds.write(self.default)

    def read(self, environ: Mapping[str, str]) -> Any:
        """The value, or the default where none is given. Raises `SettingsError`."""
        text, path = environ.get(self.name), environ.get(self.name + FILE)
        if text and path:
            raise SettingsError(f"{self.name} and {self.name}{FILE} are both set: leave one out.")
        if path:
            # What it holds may be a secret, and isn't shown.
            text, told = self._content(path), f"What {self.name}{FILE}={path!r} holds"
        elif text:
            told = f"{self.name}={text!r}"
        else:
            return self.default
        try:
            return kinds.read(self.type, text)
        except ValueError as error:
            raise SettingsError(
                f"{told} is not {kinds.words(self.type)}; {self.example} would do."
            ) from error

    def _content(self, path: str) -> str:
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise SettingsError(
                f"{self.name}{FILE}={path!r} can't be read ({why}): name a file that holds the "
                "value, such as /run/secrets/value."
            ) from error
        if not text:
            raise SettingsError(f"{self.name}{FILE}={path!r} is empty: write the value into it.")
        return text


T = TypeVar("T", bound=Struct)


def variables(settings: type[Struct]) -> list[Variable]:
    """The variables of a program's settings, in the order of its fields."""
    return [
        Variable(variable(field.name), field.name, field.type, field.default)
        for field in msgspec.structs.fields(settings)
    ]


def from_env(settings: type[T], environ: Mapping[str, str]) -> T:
    """The settings with what the environment says; an empty value stands for the default.

    The values of a list are separated by commas. Raises `SettingsError`, naming the variable and
    a value that would do.
    """
    for warning in misspelled(settings, environ):
        log.warning(warning)
    return settings(**{each.field: each.read(environ) for each in variables(settings)})


def misspelled(settings: type[Struct], environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is all but one of these settings.

    Other programs share the prefix, so what is merely unknown is not told of.
    """
    names = {each.name for each in variables(settings)}
    known = names | {name + FILE for name in names}
    others = sorted(name for name in environ.keys() - known if name.startswith(PREFIX))
    close = {name: get_close_matches(name, known, 1, CLOSE) for name in others}
    return [f"{name} is no setting: {meant[0]} is one" for name, meant in close.items() if meant]
