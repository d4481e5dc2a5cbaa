"""CHANGELOG.md has a section for the version."""

import re
import tomllib

from tests.support.paths import ROOT

HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_changelog_dates_every_version_except_a_newest_one_that_is_not_released() -> None:
    """Each section has a version, and a reader sees whether it is released."""
    dated = re.compile(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d")
    newest, *older = HEADINGS

    assert re.fullmatch(r"\d+\.\d+\.\d+ \(not released\)", newest) or dated.fullmatch(newest)
    assert [heading for heading in older if not dated.fullmatch(heading)] == []


def test_changelog_has_a_section_for_the_version_of_the_project() -> None:
    """The version in pyproject.toml is the newest one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert HEADINGS[0].partition(" ")[0] == version
