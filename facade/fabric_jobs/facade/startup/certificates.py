"""The certificates in the files that the settings name: their validity, and whether they work."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.facade.rpc import ServerCertificates
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.kafka.certificates import current_context
from fabric_jobs.runtime.settings import SettingsError, variable

#: Files with the facade's own certificates: every certificate in them must be valid.
_OWN = ("grpc_tls_cert_file", "kafka_ssl_cert_file", "client_certificate_file")
#: Files with authorities: one valid certificate is enough, because a change of authority needs two.
_TRUSTED = ("grpc_tls_client_ca_file", "kafka_ssl_ca_file")
#: The part of its validity period that is left when a certificate should be renewed.
_RENEWAL_SHARE = 0.1


class Validity(NamedTuple):
    """The time in which the certificates of a file are valid."""

    setting: str
    path: Path
    begin: datetime
    end: datetime

    def covers(self, now: datetime) -> bool:
        """Whether the certificates are valid now."""
        return self.begin <= now <= self.end

    def life_left(self, now: datetime) -> float:
        """The part of the validity period that is left, from 1 to 0."""
        if now >= self.end:
            return 0.0
        return min(1.0, (self.end - now) / (self.end - self.begin))

    def needs_renewal(self, now: datetime) -> bool:
        """Whether less than a tenth of the validity period is left."""
        return self.life_left(now) < _RENEWAL_SHARE

    def describe(self, now: datetime) -> str:
        """One line for an operator, which names the setting, the file and the time."""
        if now < self.begin:
            return f"{variable(self.setting)}={self.path} is not valid before {self.begin}."
        if now > self.end:
            return f"{variable(self.setting)}={self.path} expired at {self.end}: renew it."
        days = (self.end - now) / timedelta(days=1)
        return f"{variable(self.setting)}={self.path} is valid for {days:.1f} days"


class CertificateWatch:
    """Checks the files with certificates: whether they can be used, and how long they are valid.

    While a file can't be used, the certificates that were read last and open connections stay in
    use.
    """

    def __init__(
        self,
        settings: FacadeSettings,
        grpc: ServerCertificates | None,
        client: Credential | None = None,
    ) -> None:
        """`client` proves the workload's identity to the authority, for users' tokens."""
        self._settings = settings
        self._grpc = grpc
        self._client = client

    def find_life_left(self) -> dict[str, float]:
        """For each setting of a file that can be read: the part of its validity that is left.

        The part is from 1 to 0. Reads the files, so call it in a thread.
        """
        now, left = datetime.now(UTC), {}
        for setting, path in _files(self._settings):
            with suppress(SettingsError):
                left[variable(setting)] = _validity(setting, path).life_left(now)
        return left

    def find_unusable(self) -> dict[str, bool]:
        """For `grpc` and `kafka` with TLS, and for `client`: whether the files can't be used now.

        Reads the files, so call it in a thread. A fault is logged when it begins.
        """
        found = {}
        if self._grpc:
            found["grpc"] = self._grpc.are_unusable()
        if self._settings.kafka_security_protocol.endswith("SSL"):
            found["kafka"] = bool(current_context(self._settings).fault)
        if self._client and self._settings.client_certificate_file:
            found["client"] = self._client.is_unusable()
        return found


def validities(settings: FacadeSettings) -> list[Validity]:
    """The validity of each file that is set. Raises `SettingsError` if a file can't be read."""
    return [_validity(setting, path) for setting, path in _files(settings)]


def _files(settings: FacadeSettings) -> list[tuple[str, Path]]:
    """The settings of certificates that are set, with their files."""
    return [
        (setting, path) for setting in (*_OWN, *_TRUSTED) if (path := getattr(settings, setting))
    ]


def _validity(setting: str, path: Path) -> Validity:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable(setting)}={path} can't be used: {error}.") from error
    if setting in _TRUSTED:
        found = [max(found, key=lambda one: one.not_valid_after_utc)]
    begin = max(one.not_valid_before_utc for one in found)
    return Validity(setting, path, begin, min(one.not_valid_after_utc for one in found))
