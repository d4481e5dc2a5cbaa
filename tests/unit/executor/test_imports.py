"""The list of the files that an executor has imported."""

import importlib
import time
from pathlib import Path

import pytest

from fabric_jobs.executor import imports
from fabric_jobs.executor.imports import imported_files, start_listing


def test_imported_files_are_those_under_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody imported, such as a test, is not among them."""
    for name in ("imports_one", "imports_two"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("imports_one")

    assert imported_files(tmp_path) == [str(tmp_path / "imports_one.py")]


def test_list_gets_a_module_that_is_imported_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler may import a module when it runs."""
    monkeypatch.setattr(imports, "_INTERVAL_S", 0.01)
    (tmp_path / "imports_late.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "list"
    start_listing(file, tmp_path)
    importlib.import_module("imports_late")

    deadline = time.monotonic() + 10
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert file.read_text() == str(tmp_path / "imports_late.py")
