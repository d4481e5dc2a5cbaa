"""The command `python -m tests.chaos`."""

import sys
from pathlib import Path

import pytest

from tests.chaos.__main__ import main


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--json", "none/report.json", "none is no folder"),
        ("--known-bug", "no such bug", "invalid choice: 'no such bug'"),
    ],
)
def test_chaos_with_a_wrong_argument_ends_before_the_run_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    said: str,
) -> None:
    """Exit code 1 after a whole run would mean that a promise was broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["chaos", option, value])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert said in capsys.readouterr().err
