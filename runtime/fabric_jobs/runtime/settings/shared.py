"""The settings that the facade, the executor and the command line share."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from fabric_jobs.contract.guids import parse_guid
from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.runtime.kafka.brokers import BROKERS, Broker
from fabric_jobs.runtime.settings.addresses import addresses, host_port
from fabric_jobs.runtime.settings.secrets import Secret

LogFormat = Literal["console", "brief", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

Address = Annotated[str, Meta(title="HOST:PORT", extra={"check": host_port})]
Addresses = Annotated[
    str, Meta(title="HOST:PORT, or several separated by commas", extra={"check": addresses})
]
Guid = Annotated[
    str,
    Meta(
        title="a GUID",
        examples=["0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"],
        extra={"check": parse_guid},
    ),
]
PemFile = Annotated[
    Path | None, Meta(title="the path of a PEM file", examples=["/etc/fabric-jobs/tls.pem"])
]
Url = Annotated[str, Meta(title="a URL of http or https", pattern=r"^https?://[^\s/]+\S*$")]

Topic = Annotated[
    str, Meta(title="letters, digits, dots, - and _", pattern=r"^[a-zA-Z0-9._-]{1,249}$")
]

KafkaPrefix = Annotated[
    str,
    Meta(
        title="letters, digits, dots, - and _",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        examples=["anna."],
    ),
]
#: The settings that `kafka_prefix` goes before: of the facade, the executor and the command.
PREFIXED = ("events_topic", "heartbeats_topic", "controls_topic", "grants_topic", "pool")


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """How the facade, the executor and the command line connect to Kafka."""

    #: The addresses of one or more Kafka brokers.
    kafka_bootstrap_servers: Addresses = "127.0.0.1:9092"
    #: The kind of broker: `apache`, or `embedded` for the broker inside `fabric-jobs dev`.
    kafka_broker: Literal["apache", "embedded"] = "apache"
    #: Kafka's `security.protocol`: with `SSL` the connection is encrypted, with `SASL` the program
    #: authenticates by a user name and a password.
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    #: Kafka's `sasl.mechanism`; used only if the protocol has `SASL`.
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    #: The program's Kafka user.
    kafka_sasl_username: str = ""
    #: The password of the Kafka user.
    kafka_sasl_password: Secret | None = None
    #: The authorities that sign the brokers' certificates. Empty means the system's authorities.
    kafka_ssl_ca_file: PemFile = None
    #: The program's own certificate, if the brokers require one.
    kafka_ssl_cert_file: PemFile = None
    #: The private key of that certificate, without a passphrase. Empty means that the certificate's
    #: file holds the key too.
    kafka_ssl_key_file: PemFile = None
    #: The topic of the job events.
    events_topic: Topic = EVENTS_TOPIC
    #: Goes before the names of the topics and of the pool, so that several installations or
    #: developers can share a Kafka: `anna.` makes `anna.fabric.jobs.events`. Set it for every
    #: program. A name that begins with the prefix stays as it is.
    kafka_prefix: KafkaPrefix = ""

    def __post_init__(self) -> None:
        """Puts the prefix before the names."""
        for name in PREFIXED:
            value = getattr(self, name, None)
            if value is not None and not value.startswith(self.kafka_prefix):
                force_setattr(self, name, f"{self.kafka_prefix}{value}")

    @property
    def broker(self) -> Broker:
        """The capabilities of this kind of broker."""
        return BROKERS[self.kafka_broker]


class ClientSettings(KafkaSettings, frozen=True, kw_only=True):
    """How executors and the command line connect to Kafka and to the facades' gRPC API."""

    #: The authorities that sign the facades' certificates. Set all three files for mutual TLS, or
    #: none for gRPC in plain text.
    facades_tls_ca_file: PemFile = None
    #: The certificate by which facades identify this client.
    facades_tls_cert_file: PemFile = None
    #: The private key of that certificate, without a passphrase.
    facades_tls_key_file: PemFile = None
