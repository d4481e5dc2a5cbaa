"""docs/operate.md has the periods of the code."""

from fabric_jobs.contract.failures import MAX_LIFE, START_DEADLINE
from fabric_jobs.facade.replica import JOB_RETENTION
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.topics import RETENTION_MS
from tests.support.pages import limits


def test_periods_table_has_the_numbers_of_the_code() -> None:
    """Hours, minutes, days, days and seconds, from top to bottom."""
    assert limits("docs/operate.md", "How long things last") == [
        MAX_LIFE.total_seconds() / 3600,
        START_DEADLINE.total_seconds() / 60,
        JOB_RETENTION.days,
        RETENTION_MS / (24 * 60 * 60 * 1000),
        FacadeSettings().lease_s,
    ]
