"""The command `python -m tests.fuzz`."""

import sys

import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.run import DOORS
from tests.support.pages import table
from tests.support.paths import ROOT


def test_unknown_door_is_refused_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is not that of a finding, and no program is started."""
    monkeypatch.setattr(sys, "argv", ["fuzz", "--door", "window"])
    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 2
    errors = capsys.readouterr().err
    assert all(name in errors for name in DOORS)


def test_readme_lists_every_door() -> None:
    """The table has the names of the doors in their order."""
    rows = table((ROOT / "tests/fuzz/README.md").read_text())

    assert [row[0].strip("`") for row in rows] == list(DOORS)
