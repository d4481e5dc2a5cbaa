"""The replica's SQLite file: its tables and indexes, and that one process has it to itself."""

import logging
import sqlite3
from pathlib import Path

log = logging.getLogger("fabric_jobs.replica")

#: Memory for pages of the file, in KiB, and pages of 4 KiB in the WAL before they are copied.
CACHE_KIB = 32 * 1024
WAL_PAGES = 4000

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
CREATE INDEX jobs_by_age ON jobs (created_us);
CREATE INDEX jobs_by_status ON jobs (status, created_us);
CREATE INDEX jobs_by_type ON jobs (job_type, created_us);
CREATE INDEX jobs_by_item_type ON jobs (item_type, created_us);
CREATE INDEX jobs_by_workspace ON jobs (workspace_id, created_us);
CREATE INDEX jobs_by_item ON jobs (item_id, created_us);
CREATE INDEX jobs_exhausted ON jobs (created_us) WHERE exhausted = 1;
"""
_TABLES = ("identity", "checkpoints", "jobs")
_DROP = "".join(f"DROP TABLE {table};" for table in _TABLES)


class StateInUseError(Exception):
    """Another process uses the state directory."""


def opened(path: Path | None) -> sqlite3.Connection:
    """The file's database, or one in memory for none; made anew where it can't be used.

    The file's folder is there. Raises `StateInUseError`, and `OSError`.
    """
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if path is None or "locked" in str(error):
            raise StateInUseError(
                f"{path} is in use by another process. Give each facade a state directory of "
                "its own (FABRIC_JOBS_STATE_DIR)."
            ) from error
        log.warning("%s is no usable state (%s): it is made anew from the log", path, error)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        return _opened(path)


def make_anew(db: sqlite3.Connection) -> None:
    """Drops every row, and the tables with them: those of another version have another form."""
    db.executescript(_DROP + _SCHEMA)


def _opened(path: Path | None) -> sqlite3.Connection:
    # Should another process hold the file, it does so until it ends: waiting would be of no use.
    db = sqlite3.connect(path or ":memory:", timeout=0)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may take the last transactions; the log has them.
        db.execute("PRAGMA synchronous = NORMAL")
        # Ids are random: with the usual 2 MB of cache, a write of many jobs reads their pages anew,
        # and every few writes all of them are copied from the WAL into the file.
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute("BEGIN EXCLUSIVE")
        db.commit()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if not tables.issuperset(_TABLES):
            db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
