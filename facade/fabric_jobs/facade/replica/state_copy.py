"""Copies of a replica's state file: one replica sends its own, and a new one takes it.

A file is the fold of a prefix of the log, with its positions, the checksums of its last records and
its identity. So a copy is as good as a replay, and is verified like the replica's own file: its
identity before it is used, and its last records when the log is read on.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from io import FileIO
from pathlib import Path
from zlib import crc32

import msgspec

from fabric_jobs.facade.replica.database import lock_file
from fabric_jobs.facade.replica.identity import Identity
from fabric_jobs.facade.replica.state_file import MIN_FREE_BYTES, discard

#: The name of a copy that is being taken, in the folder of the state. It is deleted at each start.
INCOMING = "incoming.sqlite"


class CopyError(Exception):
    """A copy can't be taken or used; the message says why."""


class PinnedFile:
    """The content of a state file at one moment, while its store writes on.

    In SQLite's WAL mode, new rows go into the WAL. Only a checkpoint changes the file itself, and
    a reader that began when the WAL was empty keeps checkpoints from it until the reader ends.
    """

    def __init__(self, reader: sqlite3.Connection, file: FileIO) -> None:
        """`reader` has a transaction that began when the WAL was empty; `file` is open."""
        self._reader = reader
        self._file = file
        #: The size in bytes.
        self.size = os.fstat(file.fileno()).st_size

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes of the file, from this offset on. Raises `OSError`."""
        content = os.pread(self._file.fileno(), size, offset)
        if not content:
            raise OSError("The state file has become shorter.")
        return content

    def close(self) -> None:
        """Lets the store write into the file again."""
        self._reader.close()


def pin_file(writer: sqlite3.Connection, path: Path, file: FileIO) -> PinnedFile:
    """Pins the content that the writer has committed. Call it on the writer's thread.

    Raises `CopyError` if a reader is at work, so that the WAL can't be emptied.
    """
    (is_busy, _, _) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise CopyError("The file has a reader. Try again.")
    reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT value FROM identity").fetchall()
        return PinnedFile(reader, file)
    except BaseException:
        reader.close()
        raise


class IncomingFile:
    """A copy that is being taken, in a private file beside the state file."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size` is the announced size in bytes. Raises `CopyError` if the folder has no room."""
        free = shutil.disk_usage(folder).free
        if free < size + MIN_FREE_BYTES:
            raise CopyError(f"The copy has {size} bytes, and {folder} has {free} free.")
        self.path = folder / INCOMING
        self._size = size
        self._received = 0
        self._checksum = 0
        discard(self.path)
        descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Appends the next bytes. Raises `CopyError` if there are too many, and `OSError`."""
        self._received += len(chunk)
        if self._received > self._size:
            raise CopyError(f"The copy is larger than the announced {self._size} bytes.")
        self._checksum = crc32(chunk, self._checksum)
        self._file.write(chunk)

    def finish(self, checksum: int, identity: Identity) -> None:
        """Verifies what was received, and writes it to the disk. Raises `CopyError`, `OSError`."""
        if (self._received, self._checksum) != (self._size, checksum):
            raise CopyError("The copy is damaged.")
        os.fsync(self._file.fileno())
        self._file.close()
        _verify(self.path, identity)

    def install(self, path: Path) -> None:
        """Puts the copy in the place of the state file. Raises `StateInUseError` and `OSError`."""
        with lock_file(path):
            discard(path)
            self.path.replace(path)

    def discard(self) -> None:
        """Deletes the copy, if it was not installed."""
        self._file.close()
        discard(self.path)


def _verify(path: Path, identity: Identity) -> None:
    """Raises `CopyError` unless the file is a state with this identity."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
            found = db.execute("SELECT value FROM identity").fetchall()
            (positions,) = db.execute("SELECT count(*) FROM checkpoints").fetchone()
    except sqlite3.Error as error:
        raise CopyError(f"The copy is no state file: {error}.") from error
    if found != [(msgspec.json.encode(identity).decode(),)]:
        raise CopyError("The copy is of another log or version.")
    if not positions:
        raise CopyError("The copy is empty.")
