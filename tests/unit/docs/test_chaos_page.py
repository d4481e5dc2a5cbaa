"""tests/chaos/README.md has the counts and files of the chaos suite."""

import re

from tests.chaos.validate import VALIDATORS
from tests.support.pages import section
from tests.support.paths import ROOT

PAGE = "tests/chaos/README.md"
#: Counts that the run itself adds to those of the validators.
OF_THE_RUN = {"replica_differences", "not_recovered", "ended_by_itself", "false_alerts"}


def test_count_table_lists_every_kind_of_breach() -> None:
    """The counts of the table are those that a report can have."""
    rows = re.findall(r"^\| `(\w+)` \|", section(PAGE, "How to read a report"), re.M)
    run = (ROOT / "tests/chaos/run.py").read_text()

    assert set(rows) == VALIDATORS.keys() | OF_THE_RUN
    assert [name for name in OF_THE_RUN if f'"{name}"' not in run] == []


def test_module_on_page_exists_in_the_suite() -> None:
    """A file name without a folder is a module of the chaos suite."""
    names = re.findall(r"`(\w+\.py)`", (ROOT / PAGE).read_text())

    assert names
    assert [name for name in names if not (ROOT / "tests/chaos" / name).exists()] == []


def test_regression_test_on_page_is_defined() -> None:
    """A test that the track record names is in the file that it names."""
    found = re.findall(r"`(test_\w+)` in `(tests/[\w/]+\.py)`", (ROOT / PAGE).read_text())

    assert found
    for name, file in found:
        assert f"def {name}(" in (ROOT / file).read_text()
