"""How long certificates hold."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.certificates import Term, terms
from tests.support.certificates import Authority

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PATH = Path("cert.pem")


def term(begin_days: float, end_days: float) -> Term:
    """A term so many days from now."""
    begin, end = NOW + timedelta(days=begin_days), NOW + timedelta(days=end_days)
    return Term("grpc_tls_cert_file", PATH, begin, end)


@pytest.mark.parametrize(
    ("begin", "end", "holds", "late"),
    [
        (-80, 20, True, False),
        (-91, 9, True, True),
        (-0.5, 0.5, True, False),
        (-100, -1, False, True),
        (1, 100, False, False),
    ],
)
def test_a_certificate_is_late_in_the_last_tenth_of_its_life(
    begin: float, end: float, holds: bool, late: bool
) -> None:
    """So one of a day is not overdue all day, nor one of a year noticed on its last."""
    found = term(begin, end)

    assert (found.holds(NOW), found.is_late(NOW)) == (holds, late)


def test_what_is_told_names_the_setting_and_what_to_do() -> None:
    """By the file, with the time."""
    ended = f"FABRIC_JOBS_GRPC_TLS_CERT_FILE=cert.pem ended at {NOW - timedelta(days=1)}: renew it."

    assert term(-9, -1).told(NOW) == ended
    assert term(-1, 2.5).told(NOW) == "FABRIC_JOBS_GRPC_TLS_CERT_FILE=cert.pem holds for 2.5 days"
    assert "does not hold before" in term(1, 2).told(NOW)


def test_each_file_that_is_set_has_its_term(tmp_path: Path) -> None:
    """Of its own chain, the first to end counts; of the authorities, the last."""
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    server = authority.server()
    both = tmp_path / "both.pem"
    both.write_bytes(authority.ca.read_bytes() + other.ca.read_bytes())
    found = terms(FacadeSettings(grpc_tls_cert_file=server.cert, kafka_ssl_ca_file=both))

    assert [one.setting for one in found] == ["grpc_tls_cert_file", "kafka_ssl_ca_file"]
    assert all(one.holds(datetime.now(UTC)) for one in found)
