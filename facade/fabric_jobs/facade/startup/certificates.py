"""How long the certificates hold that settings name."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import SettingsError, variable

#: Each of these certificates is shown to others, and must hold.
_OWN = ("grpc_tls_cert_file", "kafka_ssl_cert_file")
#: Of these authorities, one that holds is enough: while they change, there are two.
_TRUSTED = ("grpc_tls_client_ca_file", "kafka_ssl_ca_file")
#: What is left of its life when a certificate is overdue for renewal.
_LATE = 0.1


class Term(NamedTuple):
    """From when and until when a file's certificates hold."""

    setting: str
    path: Path
    begin: datetime
    end: datetime

    def holds(self, now: datetime) -> bool:
        """Whether they do."""
        return self.begin <= now <= self.end

    def is_late(self, now: datetime) -> bool:
        """Whether they should have been renewed by now."""
        return self.end - now < (self.end - self.begin) * _LATE

    def told(self, now: datetime) -> str:
        """In a sentence."""
        if now < self.begin:
            return f"{variable(self.setting)}={self.path} does not hold before {self.begin}."
        if now > self.end:
            return f"{variable(self.setting)}={self.path} ended at {self.end}: renew it."
        days = (self.end - now) / timedelta(days=1)
        return f"{variable(self.setting)}={self.path} holds for {days:.1f} days"


def terms(settings: FacadeSettings) -> list[Term]:
    """Of each file that is set. Raises `SettingsError` for one that can't be read."""
    return [
        _term(setting, path)
        for setting in (*_OWN, *_TRUSTED)
        if (path := getattr(settings, setting))
    ]


def _term(setting: str, path: Path) -> Term:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable(setting)}={path} can't be used: {error}.") from error
    if setting in _TRUSTED:
        found = [max(found, key=lambda one: one.not_valid_after_utc)]
    begin = max(one.not_valid_before_utc for one in found)
    return Term(setting, path, begin, min(one.not_valid_after_utc for one in found))
