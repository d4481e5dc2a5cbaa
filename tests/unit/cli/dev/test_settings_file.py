"""The `settings.env` that `fabric-jobs dev` reads."""

from pathlib import Path

import pytest

from fabric_jobs.cli.commands import dev
from fabric_jobs.cli.commands.new import create_project
from fabric_jobs.cli.dev.settings_file import read_settings
from fabric_jobs.cli.errors import InputError


def test_settings_of_a_new_project_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are those of the environment variables."""
    monkeypatch.chdir(tmp_path)

    assert read_settings(create_project("my-sales")) == {
        "FABRIC_JOBS_POOL": "my-sales",
        "FABRIC_JOBS_SLOTS": "10",
    }


def test_folder_without_a_settings_file_has_no_settings(tmp_path: Path) -> None:
    """The file is optional."""
    assert read_settings(tmp_path) == {}


def test_value_with_signs_that_every_reader_keeps_is_read_as_it_is(tmp_path: Path) -> None:
    """A `#` begins a comment only after white space, and a quote counts only at the beginning."""
    (tmp_path / "settings.env").write_text('A=\nB=it\'s#1 = \\ "x"\nC=#\n')

    assert read_settings(tmp_path) == {"A": "", "B": 'it\'s#1 = \\ "x"', "C": "#"}


@pytest.mark.parametrize(
    "line",
    [
        "FABRIC_JOBS_SLOTS",
        "export A=1",
        'A="1"',
        "A='1'",
        "=1",
        "A= 1",
        "A=3 # three",
        "A=3\t#three",
        "A= # none",
        "A=a$B",
        "A=${B}",
    ],
)
def test_line_of_another_form_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    """The line's content is not shown, because it can be a secret."""
    (tmp_path / "settings.env").write_text(f"# comment\n{line}\n")
    with pytest.raises(InputError, match=r"settings\.env, line 2, is not NAME=VALUE\. The value"):
        read_settings(tmp_path)


def test_settings_file_with_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    """The error says so, because an editor does not show the mark."""
    (tmp_path / "settings.env").write_text("A=1\n", encoding="utf-8-sig")
    with pytest.raises(InputError, match=r"settings\.env begins with a byte order mark\. Save it"):
        read_settings(tmp_path)


def test_environment_of_dev_wins_over_the_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting can be changed for one run."""
    (tmp_path / "settings.env").write_text("FABRIC_JOBS_SLOTS=7\nFABRIC_JOBS_POOL=mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FABRIC_JOBS_SLOTS", "3")
    environ = dev.read_environ("my_jobs:executor")

    assert (environ["FABRIC_JOBS_SLOTS"], environ["FABRIC_JOBS_POOL"]) == ("3", "mine")


def test_environment_of_dev_wins_where_one_of_the_two_names_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program refuses a setting that is given as a value and as a file."""
    (tmp_path / "settings.env").write_text("A_FILE=/run/a\nB=2\nC_FILE=/run/c\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B_FILE", "/run/b")
    environ = dev.read_environ("my_jobs:executor")

    found = {
        name: environ[name] for name in ("A", "A_FILE", "B", "B_FILE", "C_FILE") if name in environ
    }
    assert found == {"A": "1", "B_FILE": "/run/b", "C_FILE": "/run/c"}
