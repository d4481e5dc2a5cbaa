"""The validity periods of the certificates that settings name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.certificates import CertificateWatch, Validity, validities
from tests.support.certificates import Authority

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
