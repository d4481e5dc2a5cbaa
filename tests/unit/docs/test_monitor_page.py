"""The limits of the job monitor on docs/monitor.md and docs/security.md are those of the code."""

from fabric_jobs.facade.monitor import (
    access,
    bulk,
    ended_page,
    executor_page,
    formatting,
    job_list,
    live,
    openid,
    pages,
    timeline,
)
from fabric_jobs.facade.startup.security import MIN_TOKEN_CHARS
from tests.support.pages import limits


def test_monitor_limits_table_has_the_numbers_of_the_code() -> None:
    """Each number of the table, from top to bottom."""
    assert limits("docs/monitor.md", "Limits") == [
        job_list.PAGE_ROWS,
        timeline.MAX_RECORDS,
        timeline.MAX_READ_S,
        timeline.MAX_ROWS,
        timeline.MAX_TRACEBACKS_CHARS // 1024,
        formatting.MAX_JSON_CHARS,
        pages.MAX_EXECUTORS,
        ended_page.MAX_TYPES_SHOWN,
        ended_page.COUNT_INTERVAL_S,
        executor_page.MAX_RUNS,
        bulk.MAX_JOBS,
        bulk.RATE_PER_S,
        1 / live.UPDATE_INTERVAL_S,
        job_list.MAX_LIST_SHARE * 100,
        live.MAX_VIEWERS,
        pages.MAX_AGE_S,
    ]


def test_sign_in_limits_table_has_the_numbers_of_the_code() -> None:
    """Each number of the table, from top to bottom."""
    assert limits("docs/security.md", "The job monitor") == [
        MIN_TOKEN_CHARS,
        access.SESSION_S / 3600,
        openid.SESSION_S / 3600,
        openid.FLOW_S / 60,
        access.MAX_WRONG_TOKENS,
    ]
