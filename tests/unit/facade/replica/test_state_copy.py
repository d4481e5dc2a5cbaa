"""Copies of a state file: pinned while its store writes on, and verified before they are used."""

import shutil
import sqlite3
from contextlib import closing
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.replica import StateInUseError, Store
from fabric_jobs.facade.replica.state_copy import INCOMING, CopyError, IncomingFile, PinnedFile
from tests.support.store_kit import IDENTITY, flush, open_store, put, read_file, stored_job


def content(pinned: PinnedFile) -> bytes:
    """The whole pinned file."""
    return pinned.read(0, pinned.size)


@pytest.fixture
def copied(tmp_path: Path) -> bytes:
    """The file of a store with three jobs."""
    store = open_store(tmp_path / "source.sqlite")
    put(store, *(stored_job(number) for number in range(3)))
    with closing(store.pin_file().result()) as pinned:
        found = content(pinned)
    store.close()
    return found


def take(folder: Path, received: bytes, **changed: object) -> IncomingFile:
    """Takes these bytes as a copy, and verifies it; `changed` are fields of the identity."""
    incoming = IncomingFile(folder, len(received))
    incoming.write(received)
    incoming.finish(crc32(received), replace(IDENTITY, **changed))
    return incoming


def test_pinned_file_stays_as_it_was_while_the_store_writes_on(tmp_path: Path) -> None:
    """The file has all that was put before, and nothing later, also when the WAL is full."""
    path = tmp_path / "replica.sqlite"
    store = open_store(path)
    put(store, *(stored_job(number) for number in range(10)))
    pinned = store.pin_file().result()
    store._writer.run(lambda db: db.execute("PRAGMA wal_autocheckpoint = 1").fetchall()).result()
    before = content(pinned)
    for first in range(10, 1000, 100):
        put(store, *(stored_job(number) for number in range(first, first + 100)))
        flush(store)
    after = content(pinned)
    grown = path.with_name("replica.sqlite-wal").stat().st_size
    pinned.close()
    put(store, stored_job(2000))
    flush(store)
    with closing(store.pin_file().result()) as later:
        written = content(later)
    store.close()

    assert before == after
    assert grown > len(before)
    assert len(written) > len(before)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(before)
    assert read_file(copy) == ({f"job-{number}" for number in range(10)}, [(0, 10)])


def test_store_in_memory_can_not_be_copied() -> None:
    """There is no file that a copy could be made of."""
    store = Store(None)
    with pytest.raises(CopyError, match="in memory"):
        store.pin_file().result()
    store.close()


def test_installed_copy_is_the_state_of_its_new_store(tmp_path: Path, copied: bytes) -> None:
    """It has the neighbour's jobs and positions, and only its owner may read it."""
    path = tmp_path / "replica.sqlite"
    open_store(path).close()
    incoming = take(tmp_path, copied)
    assert incoming.path.stat().st_mode & 0o777 == 0o600
    incoming.install(path)
    incoming.discard()
    store = open_store(path)

    assert store.checkpoints()[0].position == 3
    assert store.get("job-2") == stored_job(2)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / INCOMING).exists()
    store.close()


def test_copy_is_not_installed_over_a_file_in_use(tmp_path: Path, copied: bytes) -> None:
    """Another facade may have been started in the folder meanwhile."""
    path = tmp_path / "replica.sqlite"
    store = open_store(path)
    with pytest.raises(StateInUseError):
        take(tmp_path, copied).install(path)
    store.close()


def test_copy_with_other_bytes_is_refused(tmp_path: Path, copied: bytes) -> None:
    """The checksum is that of the neighbour's file."""
    incoming = IncomingFile(tmp_path, len(copied))
    incoming.write(bytes(len(copied)))
    with pytest.raises(CopyError, match="damaged"):
        incoming.finish(crc32(copied), IDENTITY)
    incoming.discard()


def test_copy_that_ended_early_is_refused(tmp_path: Path, copied: bytes) -> None:
    """A part of a file is no file."""
    incoming = IncomingFile(tmp_path, len(copied))
    incoming.write(copied[:4096])
    with pytest.raises(CopyError, match="damaged"):
        incoming.finish(crc32(copied[:4096]), IDENTITY)
    incoming.discard()


def test_copy_of_a_truncated_file_is_refused(tmp_path: Path, copied: bytes) -> None:
    """SQLite's own header says how many pages there are."""
    with pytest.raises(CopyError, match="malformed"):
        take(tmp_path, copied[:-4096])


def test_copy_that_is_larger_than_announced_is_refused(tmp_path: Path) -> None:
    """The room on the disk was checked for the announced size."""
    incoming = IncomingFile(tmp_path, 10)
    with pytest.raises(CopyError, match="larger than the announced 10 bytes"):
        incoming.write(bytes(11))
    incoming.discard()


@pytest.mark.parametrize(
    "changed", [{"cluster_id": "other"}, {"topic": "other"}, {"contract": "x"}, {"partitions": 2}]
)
def test_copy_of_another_log_or_version_is_refused(
    tmp_path: Path, copied: bytes, changed: dict[str, object]
) -> None:
    """The identity in the file decides, whatever the neighbour said."""
    with pytest.raises(CopyError, match="another log or version"):
        take(tmp_path, copied, **changed)


def test_copy_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Its checksum may be right all the same."""
    with pytest.raises(CopyError, match="no state file"):
        take(tmp_path, b"no database" * 1000)


def test_copy_of_an_empty_state_is_refused(tmp_path: Path) -> None:
    """It would save nothing."""
    store = open_store(tmp_path / "source.sqlite")
    with closing(store.pin_file().result()) as pinned:
        received = content(pinned)
    store.close()
    with pytest.raises(CopyError, match="is empty"):
        take(tmp_path, received)


def test_copy_without_room_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state needs its own room besides."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=40_000_000))
    with pytest.raises(CopyError, match="has 40000000 free"):
        IncomingFile(tmp_path, 30_000_000)

    assert not (tmp_path / INCOMING).exists()


def test_incoming_file_takes_the_place_of_one_that_a_crash_left(tmp_path: Path) -> None:
    """Nothing of the old one stays."""
    (tmp_path / INCOMING).write_bytes(b"left")
    incoming = IncomingFile(tmp_path, 3)
    incoming.write(b"new")

    assert incoming.path.read_bytes() == b"new"
    incoming.discard()


def test_file_that_has_become_shorter_ends_the_copy(tmp_path: Path) -> None:
    """No copy is padded."""
    path = tmp_path / "short"
    path.write_bytes(b"1234")
    with FileIO(path) as file:
        pinned = PinnedFile(sqlite3.connect(":memory:"), file)
        path.write_bytes(b"")
        with pytest.raises(OSError, match="shorter"):
            pinned.read(0, 4)
        pinned.close()
