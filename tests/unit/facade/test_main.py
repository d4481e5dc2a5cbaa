"""The command line of `python -m fabric_jobs.facade`."""

import sys

import pytest

from fabric_jobs.facade import __main__ as program


@pytest.mark.parametrize("arguments", [["chekc"], ["check", "--crate"], ["serve"], ["--help"]])
def test_main_unknown_arguments_print_the_usage_and_exit_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No replica starts because of a mistyped word."""
    monkeypatch.setattr(sys, "argv", ["__main__.py", *arguments])

    assert program.main() == 2
    assert capsys.readouterr().err == "usage: python -m fabric_jobs.facade [check [--create]]\n"


def test_main_setting_not_valid_prints_one_line_with_the_program_s_name_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the variable; there is no traceback."""
    monkeypatch.setattr(sys, "argv", ["__main__.py"])
    monkeypatch.setenv("FABRIC_JOBS_LEASE_S", "soon")

    assert program.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m fabric_jobs.facade: FABRIC_JOBS_LEASE_S='soon' is not")
