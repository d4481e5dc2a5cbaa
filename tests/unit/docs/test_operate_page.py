"""docs/operate.md has the periods of the code."""

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from tests.support.pages import limits


def test_periods_table_has_the_numbers_of_the_code() -> None:
    """Hours, minutes, days, days and seconds, from top to bottom."""
    settings = FacadeSettings()
    retention_ms = topics.events(settings).retention_ms
    assert retention_ms
    assert limits("docs/operate.md", "How long things last") == [
        settings.longest_life_s / 3600,
        START_DEADLINE.total_seconds() / 60,
        settings.lifetime.retention.days,
        retention_ms / (24 * 60 * 60 * 1000),
        settings.lease_s,
    ]
