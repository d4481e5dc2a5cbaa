"""The state files of the facades: real SQLite, whose statements fail as on a bad or a full disk."""

import sqlite3
from collections.abc import Callable
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fabric_jobs.facade.replica.state_file import discard
from tests.simulation.loop import PLACE

_READS = ("SELECT",)
_WRITES = ("INSERT", "DELETE", "CREATE", "DROP")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, "simulated: database disk image is malformed")
_FULL = (sqlite3.SQLITE_FULL, "simulated: database or disk is full")
#: The ways in which a state file fails: which statements, and SQLite's code and message.
WAYS = {
    "damaged at a write": (_WRITES, *_DAMAGE),
    "damaged at a read": (_READS, *_DAMAGE),
    "disk full": (_WRITES, *_FULL),
}


class Trouble:
    """What is wrong with one state file."""

    def __init__(self, way: str, period: int, until: float = inf) -> None:
        """The first statement fails, and then one of `period`; none fails after the time `until`.

        Damage has no end before the file is deleted.
        """
        self._verbs, self._code, self._message = WAYS[way]
        self._period = period
        self._until = until
        self._statements = 0
        self.is_damage = until == inf

    def meet(self, statement: str, now: float) -> None:
        """Raises SQLite's error if the statement fails."""
        if now >= self._until or not statement.lstrip().startswith(self._verbs):
            return
        self._statements += 1
        if (self._statements - 1) % self._period == 0:
            error = sqlite3.DatabaseError(self._message)
            error.sqlite_errorcode = self._code
            raise error


class _World(SimpleNamespace):
    now: Callable[[], float]
    #: The files that are in trouble.
    troubles: dict[Path, Trouble]
    #: The files whose disk was full.
    full: set[Path]


#: The state files of the running world.
WORLD = _World()


def begin(path: Path, way: str, period: int, seconds: float) -> None:
    """Brings a file into trouble. A disk is full for some seconds."""
    if way == "disk full":
        WORLD.full.add(path)
        WORLD.troubles[path] = Trouble(way, period, WORLD.now() + seconds)
    else:
        WORLD.troubles[path] = Trouble(way, period)


def end_damage(path: Path) -> None:
    """Ends the damage of a file that is deleted. Its disk stays full."""
    if (trouble := WORLD.troubles.get(path)) and trouble.is_damage:
        del WORLD.troubles[path]


class _Connection(sqlite3.Connection):
    """A connection to a file that may be in trouble. The judge's own connections never fail."""

    def __init__(self, database: Any, *args: Any, **options: Any) -> None:
        super().__init__(database, *args, **options)
        self._path = Path(database)

    def _meet_trouble(self, statement: str) -> None:
        trouble = WORLD.troubles.get(self._path)
        if trouble and PLACE.get():
            trouble.meet(statement, WORLD.now())

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._meet_trouble(sql)
        return super().execute(sql, *args)

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._meet_trouble(sql)
        return super().executemany(sql, *args)

    def executescript(self, sql_script: str) -> sqlite3.Cursor:
        self._meet_trouble(sql_script)
        return super().executescript(sql_script)


class _Sqlite3:
    """Stands for the module `sqlite3`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)

    def connect(self, database: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(database, factory=_Connection, **options)


def _discard(path: Path) -> None:
    discard(path)
    end_damage(path)


#: What takes the place of the product's way to its state files.
SEAMS: dict[Any, Any] = {sqlite3: _Sqlite3(), discard: _discard}
