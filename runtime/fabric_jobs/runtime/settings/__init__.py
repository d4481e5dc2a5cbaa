"""Settings: declared as structs, read from the environment or from files."""

from fabric_jobs.runtime.settings.addresses import (
    address_of,
    addresses,
    family_of,
    host_port,
    is_loopback,
)
from fabric_jobs.runtime.settings.declaration import (
    FILE,
    PREFIX,
    Variable,
    from_env,
    misspelled,
    variable,
    variables,
)
from fabric_jobs.runtime.settings.errors import SettingsError
from fabric_jobs.runtime.settings.secrets import Secret
from fabric_jobs.runtime.settings.shared import (
    Address,
    Addresses,
    ClientSettings,
    Guid,
    KafkaSettings,
    LogFormat,
    PemFile,
    Topic,
    Url,
)

__all__ = [
    "FILE",
    "PREFIX",
    "Address",
    "Addresses",
    "ClientSettings",
    "Guid",
    "KafkaSettings",
    "LogFormat",
    "PemFile",
    "Secret",
    "SettingsError",
    "Topic",
    "Url",
    "Variable",
    "address_of",
    "addresses",
    "family_of",
    "from_env",
    "host_port",
    "is_loopback",
    "misspelled",
    "variable",
    "variables",
]
