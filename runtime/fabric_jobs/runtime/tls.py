"""TLS by PEM files that settings name: what is half said, or can't be used, is refused by name."""

import ssl
from pathlib import Path

from msgspec import Struct

from fabric_jobs.runtime.settings import SettingsError, variable


class PemFiles(Struct, frozen=True):
    """The files of one side of a mutual TLS connection; they may change while they are used."""

    #: The authorities that sign the other side's certificate.
    ca: Path
    #: This side's certificate, and its key.
    cert: Path
    key: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """What `ca`, `cert` and `key` hold now. Raises `OSError`."""
        return self.ca.read_bytes(), self.cert.read_bytes(), self.key.read_bytes()


def mutual_tls(
    purpose: ssl.Purpose, settings: Struct, *, ca: str, cert: str, key: str
) -> PemFiles | None:
    """The files that the fields of these names hold; none where none is set.

    Raises `SettingsError` where some are missing, or can't be used.
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
    """A context of the files that the fields of these names hold, where they are set.

    Raises `SettingsError`.
    """
    ca_file, cert_file, key_file = (getattr(settings, name) for name in (ca, cert, key))
    if key_file and not cert_file:
        raise SettingsError(f"{variable(key)} is set: set {variable(cert)} too.")
    try:
        context = ssl.create_default_context(purpose, cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"{variable(ca)}={ca_file} can't be used: {error}.") from error
    if cert_file:
        try:
            # An empty passphrase: without one, OpenSSL asks for it at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            raise SettingsError(
                f"{variable(cert)}={cert_file} with the key in {key_file or 'the same file'} can't "
                f"be used: {error}."
            ) from error
    return context
