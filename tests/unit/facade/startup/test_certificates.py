"""The validity periods of the certificates that settings name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.certificates import CertificateWatch, Validity, validities
from fabric_jobs.runtime.settings import Secret
from tests.support.certificates import Authority, write_rsa_certificate

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PATH = Path("cert.pem")


def validity(begin_days: float, end_days: float) -> Validity:
    """A validity period that begins and ends so many days from now."""
    begin, end = NOW + timedelta(days=begin_days), NOW + timedelta(days=end_days)
    return Validity("grpc_tls_cert_file", PATH, begin, end)


@pytest.mark.parametrize(
    ("begin", "end", "covers", "needs_renewal"),
    [
        (-80, 20, True, False),
        (-91, 9, True, True),
        (-0.5, 0.5, True, False),
        (-100, -1, False, True),
        (1, 100, False, False),
    ],
)
def test_validity_less_than_a_tenth_left_needs_renewal(
    begin: float, end: float, covers: bool, needs_renewal: bool
) -> None:
    """The share fits certificates of a day as well as those of a year."""
    found = validity(begin, end)

    assert (found.covers(NOW), found.needs_renewal(NOW)) == (covers, needs_renewal)


@pytest.mark.parametrize(
    ("begin", "end", "left"),
    [(-25, 75, 0.75), (-100, 0, 0.0), (-100, -1, 0.0), (1, 100, 1.0), (0, 0, 0.0)],
)
def test_validity_life_left_is_the_part_that_is_not_over(
    begin: float, end: float, left: float
) -> None:
    """Outside the period it stays 1 or 0."""
    assert validity(begin, end).life_left(NOW) == left


def test_validity_described_names_setting_file_and_time() -> None:
    """An expired certificate also gets the advice to renew it."""
    file = "FABRIC_JOBS_GRPC_TLS_CERT_FILE=cert.pem"

    assert validity(-9, -1).describe(NOW) == (
        f"{file} expired at {NOW - timedelta(days=1)}: renew it."
    )
    assert validity(-1, 2.5).describe(NOW) == f"{file} is valid for 2.5 days"
    assert validity(1, 2).describe(NOW) == (
        f"{file} is not valid before {NOW + timedelta(days=1)}."
    )


def test_validities_files_set_have_one_each(tmp_path: Path) -> None:
    """Of a chain the first end counts, of several authorities the last."""
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    server = authority.server()
    both = tmp_path / "both.pem"
    both.write_bytes(authority.ca.read_bytes() + other.ca.read_bytes())
    found = validities(FacadeSettings(grpc_tls_cert_file=server.cert, kafka_ssl_ca_file=both))

    assert [one.setting for one in found] == ["grpc_tls_cert_file", "kafka_ssl_ca_file"]
    assert all(one.covers(datetime.now(UTC)) for one in found)


def test_certificate_watch_and_validities_include_the_client_certificate(tmp_path: Path) -> None:
    """It proves the workload's identity to Entra ID. A file that is gone has no validity."""
    file = write_rsa_certificate(tmp_path)
    settings = FacadeSettings(client_certificate_file=file)
    watch = CertificateWatch(settings, None, Credential(certificate_file=file))

    assert [one.setting for one in validities(settings)] == ["client_certificate_file"]
    assert watch.find_unusable() == {"client": False}
    (left,) = watch.find_life_left().items()
    assert left[0] == "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE"
    # The certificate's period began an hour ago and has 25 hours.
    assert 0.9 < left[1] <= 24 / 25
    file.unlink()
    assert watch.find_unusable() == {"client": True}
    assert watch.find_life_left() == {}


def test_certificate_watch_of_a_client_secret_has_nothing_to_report() -> None:
    """Entra ID does not tell when a secret expires."""
    watch = CertificateWatch(FacadeSettings(), None, Credential(secret=Secret("secret")))

    assert watch.find_unusable() == {}


def test_certificate_watch_reports_unusable_files_for_kafka_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The connections that are open go on, so only a metric and the log show the fault."""
    authority = Authority(tmp_path)
    watch = CertificateWatch(
        FacadeSettings(kafka_security_protocol="SSL", kafka_ssl_ca_file=authority.ca), None
    )
    assert watch.find_unusable() == {"kafka": False}
    caplog.clear()
    good = authority.ca.read_bytes()
    authority.ca.write_bytes(b"garbage")
    for _ in range(2):
        assert watch.find_unusable() == {"kafka": True}
    assert ["FABRIC_JOBS_KAFKA_SSL_CA_FILE" in line for line in caplog.messages] == [True]
    authority.ca.write_bytes(good)
    assert watch.find_unusable() == {"kafka": False}


def test_certificate_watch_without_tls_has_nothing_to_report() -> None:
    """A metric of files that do not exist would mean nothing."""
    assert CertificateWatch(FacadeSettings(), None).find_unusable() == {}
