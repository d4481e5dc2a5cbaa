"""Files that hold payloads or keys are for their owner only."""

import logging
from pathlib import Path
from stat import S_IMODE

import pytest

from fabric_jobs.runtime.private_files import create_private_file, make_private


def mode_of(path: Path) -> int:
    """The permission bits of a file or folder."""
    return S_IMODE(path.stat().st_mode)


def test_create_private_file_when_missing_has_mode_0600(tmp_path: Path) -> None:
    """No other user can read the file at any time."""
    create_private_file(tmp_path / "new")

    assert mode_of(tmp_path / "new") == 0o600


def test_create_private_file_when_existing_keeps_content_and_narrows_mode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file of an earlier version is narrowed, and one line tells it."""
    file = tmp_path / "old"
    file.write_bytes(b"content")
    file.chmod(0o644)

    create_private_file(file)
    create_private_file(file)

    assert (file.read_bytes(), mode_of(file)) == (b"content", 0o600)
    assert caplog.messages == [f"{file} had mode 644, and now only its owner may use it"]


def test_make_private_of_a_shared_folder_warns_and_keeps_its_mode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Narrowing a folder such as /tmp would break every other program."""
    tmp_path.chmod(0o1777)

    make_private(tmp_path)

    assert mode_of(tmp_path) == 0o1777
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "shared by all users" in caplog.text


def test_make_private_of_another_users_folder_warns_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orchestrator may mount a volume that belongs to root: the start must not fail there."""
    tmp_path.chmod(0o755)

    def refuse(self: Path, mode: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", refuse)
        make_private(tmp_path)

    assert "belongs to another user and keeps mode 755" in caplog.text
