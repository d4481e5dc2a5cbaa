"""docs/http.md has the errors that the code has."""

import re

from fabric_jobs.facade.http import limits as http
from fabric_jobs.facade.http.errors import MEANINGS
from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.jobs.errors import UnavailableReason
from fabric_jobs.facade.settings import FacadeSettings
from tests.support.pages import section


def test_error_table_equals_the_table_in_the_code() -> None:
    """Every error code is listed, with status, source and permanence."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\w+) \| (yes|no) \|", section("docs/http.md", "Errors"), re.M
    )

    assert {row[0]: row[1:] for row in rows} == {
        code.value: (
            str(meaning.status),
            meaning.source.value,
            "yes" if meaning.permanent else "no",
        )
        for code, meaning in MEANINGS.items()
    }


def test_reason_table_lists_every_reason_of_a_503_with_its_bounds() -> None:
    """Every reason is listed once, in the order of the code; the bounds are those on commands."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", section("docs/http.md", "Errors"), re.M)
    bounds = [
        int(text.replace(",", "")) for text in re.findall(r"\d[\d,]*", dict(rows)["OVERLOADED"])
    ]

    assert [reason for reason, _ in rows] == list(UnavailableReason)
    assert bounds == [turns.MAX_COMMANDS, turns.MAX_COMMANDS_OF_A_JOB]


def test_defaults_of_the_http_settings_are_those_of_the_limits() -> None:
    """The settings and the HTTP server agree, so that docs/bounds.md is true of both."""
    assert FacadeSettings().http_idle_s == http.HttpLimits().idle_s
    assert FacadeSettings().http_connections == http.HttpLimits().connections
