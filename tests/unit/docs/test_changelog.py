"""CHANGELOG.md has a section for the version."""

import re
import tomllib

from tests.support.paths import ROOT

HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_changelog_begins_with_unreleased_and_dates_every_version() -> None:
    """The first section is for what comes next; every other one has a version and a date."""
    unreleased, *versions = HEADINGS

    assert unreleased == "Unreleased"
    assert [
        one for one in versions if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", one)
    ] == []


def test_changelog_has_a_section_for_the_version_of_the_project() -> None:
    """The version in pyproject.toml is the newest one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert HEADINGS[1].partition(" ")[0] == version
