"""docs/executors.md has the limits of the code."""

from fabric_jobs.contract import heartbeats, jobs
from fabric_jobs.facade.rpc import offers, server, session
from tests.support.pages import limits


def test_limits_table_has_the_numbers_of_the_code() -> None:
    """Each number of the table, from top to bottom."""
    assert limits("docs/executors.md", "Limits") == [
        *(1, jobs.MAX_NAME_CHARS),
        jobs.MAX_NAME_CHARS,
        heartbeats.MAX_JOB_TYPES,
        session.MAX_PENDING_ENTRIES,
        server.MAX_MESSAGE_BYTES // 1024**2,
        offers.MAX_ROUND_BYTES // 1024**2,
        jobs.MAX_PROGRESS_CHARS,
        *(jobs.MAX_CODE_CHARS, jobs.MAX_MESSAGE_CHARS),
        *(jobs.MAX_LIST_ITEMS, jobs.MAX_ERROR_BYTES // 1024),
        jobs.MAX_TRACEBACK_BYTES // 1024,
    ]
