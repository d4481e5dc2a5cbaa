"""Settings from the environment: `FABRIC_JOBS_` and the field's name in capitals."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_origin

import msgspec
from msgspec import Struct

from fabric_jobs.brokers import BROKERS, Broker
from fabric_jobs.topics import EVENTS_TOPIC

PREFIX = "FABRIC_JOBS_"


class SettingsError(ValueError):
    """A setting can't be used; the message names it."""


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """How both programs find the log."""

    #: `HOST:PORT` of one or more brokers, separated by commas.
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    #: `apache`, or `embedded` for the broker that `fabric-jobs dev` carries.
    kafka_broker: Literal["apache", "embedded"] = "apache"
    #: The topic of the job events.
    events_topic: str = EVENTS_TOPIC

    @property
    def broker(self) -> Broker:
        """The capabilities of the kind of broker."""
        return BROKERS[self.kafka_broker]


T = TypeVar("T", bound=Struct)


def from_env(settings: type[T], environ: Mapping[str, str]) -> T:
    """The settings with what the environment says; an empty value stands for the default.

    The values of a list are separated by commas.
    Raises `SettingsError`, naming the variable.
    """
    values = {}
    for field in msgspec.structs.fields(settings):
        variable = PREFIX + field.name.upper()
        if text := environ.get(variable):
            try:
                listed = get_origin(field.type) is tuple
                values[field.name] = msgspec.convert(
                    [word.strip() for word in text.split(",")] if listed else text,
                    field.type,
                    strict=False,
                    dec_hook=_built,
                )
            except msgspec.ValidationError as error:
                raise SettingsError(f"{variable}={text!r}: {error}.") from error
    return settings(**values)


def _built(kind: type, text: Any) -> Any:
    """A value of a type that msgspec leaves to us, such as a path."""
    return kind(text)


def host_port(address: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`. Raises `SettingsError`."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    number = int(port) if port.isascii() and port.isdigit() else None
    if not colon or not host or number is None or number > 65535:
        raise SettingsError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:5000.")
    return host, number
