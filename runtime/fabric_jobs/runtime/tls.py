"""TLS from PEM files that settings name. Incomplete or unusable files are refused at start."""

import ssl
from pathlib import Path

from msgspec import Struct

from fabric_jobs.runtime.settings import SettingsError, variable


class PemFiles(Struct, frozen=True):
    """The files of one side of a mutual TLS connection. Their content may change at run time."""

    #: The certificates of the authorities that sign the other side's certificate.
    ca: Path
    #: This side's certificate.
    cert: Path
    #: The private key of `cert`.
    key: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Returns the current content of `ca`, `cert` and `key`. Raises `OSError`."""
        return self.ca.read_bytes(), self.cert.read_bytes(), self.key.read_bytes()


def mutual_tls(
    purpose: ssl.Purpose, settings: Struct, *, ca: str, cert: str, key: str
) -> PemFiles | None:
    """Returns the files that three settings name, or None if none of the three is set.

    `ca`, `cert` and `key` are names of fields of `settings`. Raises `SettingsError` if only some
    of the three are set, or if a file cannot be used.
    """
    paths = {name: getattr(settings, name) for name in (ca, cert, key)}
    missing = [variable(name) for name, path in paths.items() if not path]
    if len(missing) == len(paths):
        return None
    if missing:
        raise SettingsError(
            f"{', '.join(map(variable, paths))} go together: set {' and '.join(missing)} too."
        )
    tls_context(purpose, settings, ca=ca, cert=cert, key=key)
    return PemFiles(*paths.values())


def tls_context(
    purpose: ssl.Purpose, settings: Struct, *, ca: str, cert: str, key: str
) -> ssl.SSLContext:
    """Returns a TLS context made from the files that the settings name.

    `ca`, `cert` and `key` are names of fields of `settings`. Without `ca`, the context trusts the
    system's authorities. Raises `SettingsError` if a file cannot be used.
    """
    ca_file, cert_file, key_file = (getattr(settings, name) for name in (ca, cert, key))
    if key_file and not cert_file:
        raise SettingsError(f"{variable(key)} is set: set {variable(cert)} too.")
    try:
        context = ssl.create_default_context(purpose, cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"{variable(ca)}={ca_file} can't be used: {error}.") from error
    require_tls_1_2(context)
    if cert_file:
        try:
            # With no password argument, OpenSSL would ask for the passphrase at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            raise SettingsError(
                f"{variable(cert)}={cert_file} with the key in {key_file or 'the same file'} can't "
                f"be used: {error}."
            ) from error
    return context


def require_tls_1_2(context: ssl.SSLContext) -> None:
    """Refuses older versions. The defaults of Python and OpenSSL differ between versions."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
