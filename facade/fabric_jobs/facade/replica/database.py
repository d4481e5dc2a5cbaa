"""The replica's SQLite file: its tables, its indexes, and the lock that keeps other processes out.

The indexes that only lists use contain every job. They are created when the replica has read the
log to its end: kept up to date row by row while a whole log is read, they would cost as much as the
rows. The other indexes contain few jobs, except `jobs_by_first`, by which the fold finds the jobs
that are too old.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from fabric_jobs.facade.replica import ended
from fabric_jobs.facade.replica.state_file import discard, require_room
from fabric_jobs.runtime.private_files import create_private_file, make_private

log = logging.getLogger("fabric_jobs.replica")

#: The writer's page cache, in KiB.
CACHE_KIB = 24 * 1024
#: Pages (of 4 KiB) in the WAL at which SQLite copies them into the file. Transactions change a few
#: thousand pages in common, and each of those is copied once.
WAL_PAGES = 16_000

#: The SQL condition of an unfinished job. A query must contain it as the index does: SQLite uses a
#: partial index only for a query whose condition contains the condition of the index.
UNFINISHED = "status IN ('NotStarted', 'InProgress')"

_SCHEMA = f"""
CREATE TABLE identity (value TEXT NOT NULL);
CREATE TABLE checkpoints (
  partition INTEGER PRIMARY KEY,
  position INTEGER NOT NULL,
  last_offset INTEGER NOT NULL,
  last_checksum INTEGER NOT NULL
);
CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY,
  partition INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  tenant_id TEXT NOT NULL,
  workspace_id TEXT NOT NULL,
  item_id TEXT NOT NULL,
  item_type TEXT NOT NULL,
  job_type TEXT NOT NULL,
  status TEXT NOT NULL,
  exhausted INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  queued_us INTEGER,
  due_us INTEGER,
  executor_id TEXT,
  last_executor_id TEXT,
  attempt INTEGER NOT NULL,
  last_offset INTEGER NOT NULL,
  retry_of TEXT,
  job BLOB NOT NULL
);
CREATE INDEX jobs_by_first ON jobs (partition, first_ms);
CREATE INDEX jobs_queued ON jobs (item_type, job_type, priority, queued_us)
  WHERE queued_us IS NOT NULL;
CREATE INDEX jobs_by_due ON jobs (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX jobs_running ON jobs (executor_id) WHERE executor_id IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (tenant_id) WHERE {UNFINISHED};
CREATE INDEX jobs_by_status ON jobs (status, created_us) WHERE status <> 'Completed';
CREATE INDEX jobs_by_retry ON jobs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX jobs_exhausted ON jobs (created_us) WHERE exhausted = 1;
{ended.SCHEMA}"""
#: The indexes that contain every job, which only lists use.
_LIST_INDEXES = """
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created_us);
CREATE INDEX IF NOT EXISTS jobs_by_type ON jobs (job_type, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_item_type ON jobs (item_type, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_workspace ON jobs (workspace_id, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_item ON jobs (item_id, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_tenant ON jobs (tenant_id, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_executor ON jobs (last_executor_id, created_us)
  WHERE last_executor_id IS NOT NULL;
"""
_TABLES = ("identity", "checkpoints", "jobs", "ended_types", "ended")
_DROP = "".join(f"DROP TABLE IF EXISTS {table};" for table in _TABLES)


class StateInUseError(Exception):
    """Another process uses the state directory; the message says how to avoid that."""


class Database(NamedTuple):
    """The connections to one file.

    For a database in memory, writer and reader are one connection, which two threads may use.
    """

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    #: Locks the file for this process until it is closed; None for a database in memory.
    lock: sqlite3.Connection | None = None
    #: The open file, from which copies are read; None for a database in memory.
    file: FileIO | None = None

    def close(self) -> None:
        """Closes the connections and releases the file."""
        self.reader.close()
        # The connection that is closed last copies the WAL into the file.
        self.writer.close()
        if self.file:
            # After the connections: by POSIX, to close any descriptor of a file ends its locks.
            self.file.close()
        if self.lock:
            self.lock.close()


def open_database(path: Path | None) -> Database:
    """Opens the file, whose folder must exist, or a database in memory if the path is None.

    A file that SQLite can't use is deleted and created again, because the log has all its content.
    The folder and its files are made private, because jobs contain payloads.
    Raises `StateInUseError` if another process has the file open, `StateError` if its folder has no
    room, `OSError` if a file can't be created or deleted, and `sqlite3.Error` if SQLite can't
    create its tables.
    """
    if path is None:
        memory = _open_writer(":memory:")
        return Database(memory, memory)
    require_room(path.parent)
    _make_files_private(path)
    lock = _lock(path)
    try:
        writer, reader = _open_or_recreate(path), sqlite3.connect(path)
        return Database(writer, reader, lock, FileIO(path))
    except BaseException as error:
        lock.close()
        if _is_locked(error):
            raise _in_use(path) from error
        raise


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Keeps other processes from the file. Raises `StateInUseError` if one has it open."""
    with closing(_lock(path)):
        yield


def _lock(path: Path) -> sqlite3.Connection:
    # The lock is on a separate file, because a lock on the rows' file would exclude our own reader.
    # There is no timeout, because another process holds the lock until it ends.
    lock = sqlite3.connect(path.with_suffix(".lock"), timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        lock.close()
        if _is_locked(error):
            raise _in_use(path) from error
        raise
    return lock


def _in_use(path: Path) -> StateInUseError:
    return StateInUseError(
        f"{path} is in use by another process. Give each facade a state directory of "
        "its own (FABRIC_JOBS_STATE_DIR)."
    )


def recreate_tables(db: sqlite3.Connection) -> None:
    """Drops all tables and creates them again, because another version's tables may differ."""
    db.executescript(_DROP + _SCHEMA)


def create_list_indexes(db: sqlite3.Connection) -> None:
    """Creates the indexes that lists use, unless they exist; takes seconds for a million jobs.

    Each index is a transaction of its own, so that a process that is killed meanwhile loses only
    the index under way.
    """
    db.executescript(_LIST_INDEXES)


def _open_or_recreate(path: Path) -> sqlite3.Connection:
    try:
        return _open_writer(path)
    except sqlite3.DatabaseError as error:
        if _is_locked(error):
            raise
        log.warning("%s can't be used (%s): it is built again from the log", path, error)
        discard(path)
        create_private_file(path)
        return _open_writer(path)


def _make_files_private(path: Path) -> None:
    """Creates the files with mode 0600 before SQLite does, which would use 0644.

    SQLite gives the WAL and its index (`-wal`, `-shm`) the mode of their file.
    """
    make_private(path.parent)
    create_private_file(path)
    create_private_file(path.with_suffix(".lock"))
    for left in path.parent.glob(f"{path.stem}*"):
        make_private(left)


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and "locked" in str(error)


def _open_writer(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may lose the last transactions; the log still has their events.
        db.execute("PRAGMA synchronous = NORMAL")
        # Ids are random, so a batch touches pages everywhere. With SQLite's default cache of 2 MB,
        # each batch would read its pages from the file again; with the default size of the WAL,
        # every few batches would copy all of their pages into the file.
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if not tables.issuperset(_TABLES):
            db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
