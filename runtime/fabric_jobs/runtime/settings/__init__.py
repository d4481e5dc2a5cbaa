"""Settings: declared as msgspec structs, read from environment variables or from files."""

from fabric_jobs.runtime.settings.addresses import (
    address_of,
    addresses,
    family_of,
    host_port,
    is_loopback,
    is_secure_url,
    names_loopback,
)
from fabric_jobs.runtime.settings.declaration import (
    FILE_SUFFIX,
    PREFIX,
    Variable,
    find_misspellings,
    from_env,
    variable,
    variables,
)
from fabric_jobs.runtime.settings.errors import SettingsError
from fabric_jobs.runtime.settings.key_ring import KEY_ID, MAX_KEYS, RingKey, read_ring
from fabric_jobs.runtime.settings.secrets import Secret
from fabric_jobs.runtime.settings.shared import (
    Address,
    Addresses,
    ClientSettings,
    Guid,
    KafkaSettings,
    LogFormat,
    LogLevel,
    PemFile,
    Topic,
    Url,
)

__all__ = [
    "FILE_SUFFIX",
    "KEY_ID",
    "MAX_KEYS",
    "PREFIX",
    "Address",
    "Addresses",
    "ClientSettings",
    "Guid",
    "KafkaSettings",
    "LogFormat",
    "LogLevel",
    "PemFile",
    "RingKey",
    "Secret",
    "SettingsError",
    "Topic",
    "Url",
    "Variable",
    "address_of",
    "addresses",
    "family_of",
    "find_misspellings",
    "from_env",
    "host_port",
    "is_loopback",
    "is_secure_url",
    "names_loopback",
    "read_ring",
    "variable",
    "variables",
]
