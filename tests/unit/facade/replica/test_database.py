"""The replica's files contain payloads, so other users may not read them."""

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from fabric_jobs.facade.settings import FacadeSettings
from tests.support.store_kit import flush, open_store, put, stored_job


@pytest.fixture(autouse=True)
def widest_umask() -> Iterator[None]:
    """Nothing but the code limits the modes of new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The permission bits of each file in the folder, by name."""
    return {file.name: S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_state_files_and_their_folder_are_for_the_owner_only(tmp_path: Path) -> None:
    """This includes the WAL and its index, while the store is in use."""
    file = FacadeSettings(state_dir=tmp_path / "state").state_file()
    assert file
    store = open_store(file)
    put(store, stored_job(1))
    flush(store)

    found = modes(file.parent)
    assert found.keys() >= {"replica.sqlite", "replica.sqlite-wal", "replica.sqlite-shm"}
    assert set(found.values()) == {0o600}
    assert modes(tmp_path) == {"state": 0o700}
    store.close()


def test_wider_files_of_a_killed_facade_are_narrowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A killed process leaves its WAL, which contains payloads; one line tells each change."""
    store = open_store(tmp_path / "replica.sqlite")
    put(store, stored_job(1))
    flush(store)
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    left = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    store.close()
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)

    store = open_store(tmp_path / "replica.sqlite")

    assert set(modes(tmp_path).values()) == {0o600}
    assert S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert sum("now only its owner may use it" in line for line in caplog.messages) == len(left) + 1
    assert store.get("job-1") == stored_job(1)
    store.close()


def test_a_state_file_that_is_built_again_is_for_the_owner_only(tmp_path: Path) -> None:
    """SQLite itself would create it with mode 0644."""
    (tmp_path / "replica.sqlite").write_bytes(b"no database at all" * 1000)
    store = open_store(tmp_path / "replica.sqlite")

    assert set(modes(tmp_path).values()) == {0o600}
    store.close()
