"""The replica's SQLite file: its tables and indexes, and that one process has it to itself.

The indexes that lists use are made once the log's end was reached: they hold every job, and row by
row, while a log is read anew, they would cost as much as the rows. The others hold few jobs, but
for the one by which the fold finds those that are too old.
"""

import logging
import sqlite3
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("fabric_jobs.replica")

#: The writer's memory for pages of the file, in KiB; pages of 4 KiB in the WAL before it is copied:
#: a few thousand of each transaction are the same, and are copied once.
CACHE_KIB = 24 * 1024
WAL_PAGES = 16_000

_SCHEMA = """
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
  queued_us INTEGER,
  due_us INTEGER,
  executor_id TEXT,
  attempt INTEGER NOT NULL,
  last_offset INTEGER NOT NULL,
  job BLOB NOT NULL
);
CREATE INDEX jobs_by_first ON jobs (partition, first_ms);
CREATE INDEX jobs_queued ON jobs (item_type, job_type, queued_us) WHERE queued_us IS NOT NULL;
CREATE INDEX jobs_by_due ON jobs (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX jobs_running ON jobs (executor_id) WHERE executor_id IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (tenant_id) WHERE status IN ('NotStarted', 'InProgress');
CREATE INDEX jobs_by_status ON jobs (status, created_us) WHERE status <> 'Completed';
CREATE INDEX jobs_exhausted ON jobs (created_us) WHERE exhausted = 1;
"""
#: The indexes that have every job, which only lists use.
_OF_LISTS = """
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created_us);
CREATE INDEX IF NOT EXISTS jobs_by_type ON jobs (job_type, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_item_type ON jobs (item_type, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_workspace ON jobs (workspace_id, created_us);
CREATE INDEX IF NOT EXISTS jobs_by_item ON jobs (item_id, created_us);
"""
_TABLES = ("identity", "checkpoints", "jobs")
_DROP = "".join(f"DROP TABLE {table};" for table in _TABLES)


class StateInUseError(Exception):
    """Another process uses the state directory."""


class Database(NamedTuple):
    """The connections to a file; to memory, both are one, which two threads may use."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    #: Holds the file for this process until it is closed.
    lock: sqlite3.Connection | None = None

    def close(self) -> None:
        """Gives the file free."""
        self.reader.close()
        # The last to close it copies what is in the WAL.
        self.writer.close()
        if self.lock:
            self.lock.close()


def opened(path: Path | None) -> Database:
    """The file's database, or one in memory for none; made anew where it can't be used.

    The file's folder is there. Raises `StateInUseError`, and `OSError`.
    """
    if path is None:
        memory = _writer(":memory:")
        return Database(memory, memory)
    # A file of its own: a lock on the one with the rows would keep our other connection out.
    # Should another process hold it, it does so until it ends: waiting would be of no use.
    lock = sqlite3.connect(path.with_suffix(".lock"), timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        return Database(_made_usable(path), sqlite3.connect(path), lock)
    except BaseException as error:
        lock.close()
        if _is_locked(error):
            raise StateInUseError(
                f"{path} is in use by another process. Give each facade a state directory of "
                "its own (FABRIC_JOBS_STATE_DIR)."
            ) from error
        raise


def make_anew(db: sqlite3.Connection) -> None:
    """Drops every row, and the tables with them: those of another version have another form."""
    db.executescript(_DROP + _SCHEMA)


def index_for_lists(db: sqlite3.Connection) -> None:
    """Makes the indexes that lists use, where they are not there; for a million jobs, seconds.

    Each is a transaction of its own: where the process dies, the next goes on behind it.
    """
    db.executescript(_OF_LISTS)


def _made_usable(path: Path) -> sqlite3.Connection:
    try:
        return _writer(path)
    except sqlite3.DatabaseError as error:
        if _is_locked(error):
            raise
        log.warning("%s is no usable state (%s): it is made anew from the log", path, error)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        return _writer(path)


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and "locked" in str(error)


def _writer(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may take the last transactions; the log has them.
        db.execute("PRAGMA synchronous = NORMAL")
        # Ids are random: with the usual 2 MB of cache, a write of many jobs reads their pages anew,
        # and every few writes all of them are copied from the WAL into the file.
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if not tables.issuperset(_TABLES):
            db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
