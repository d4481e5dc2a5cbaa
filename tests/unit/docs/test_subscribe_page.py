"""docs/subscribe.md has the event types of the code, and the examples that the tests run."""

import re

import pytest

from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from tests.support.pages import section
from tests.support.paths import ROOT

PAGE = "docs/subscribe.md"


@pytest.mark.parametrize("example", ["subscribe.py", "subscribe.mjs"])
def test_example_on_page_equals_the_file_that_the_tests_run(example: str) -> None:
    """The page shows the whole file."""
    shown = re.findall(r"```(?:python|javascript)\n(.*?)```", (ROOT / PAGE).read_text(), re.S)

    assert (ROOT / "examples" / example).read_text() in shown


def test_event_table_lists_every_type_and_no_other() -> None:
    """The types are those of `KnownEvent`."""
    rows = re.findall(r"^\| (`fabric\.jobs\..*?) \|", section(PAGE, "The records"), re.M)
    named = [f"fabric.jobs{name}" for row in rows for name in re.findall(r"(\.[a-z-]+)`", row)]

    assert sorted(named) == sorted(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)


def test_periods_on_page_are_those_of_the_code() -> None:
    """How long a job is known and how long its records are kept, in days."""
    rule = section(PAGE, "Which events count")
    days = {"eight": 8, "nine": 9}
    settings = FacadeSettings()
    known_days = settings.lifetime.retention.days
    retention_ms = topics.events(settings).retention_ms
    assert retention_ms

    assert {days[word] for word in re.findall(r"(\w+)\s+days (?:after|is)", rule)} == {known_days}
    assert {days[word] for word in re.findall(r"(\w+) days back", rule)} == {known_days + 1}
    assert re.findall(r"(\d+) days", rule) == [str(retention_ms // (24 * 60 * 60 * 1000))]
