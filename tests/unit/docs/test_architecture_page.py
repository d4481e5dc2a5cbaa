"""The tables of docs/architecture.md list the folders and the bounds of the code."""

import re
from pathlib import Path

from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.monitor import live, timeline
from fabric_jobs.facade.replica import memory
from fabric_jobs.facade.rpc import session, throttle, watches
from tests.support.pages import limits, section
from tests.support.paths import ROOT

PAGE = "docs/architecture.md"
#: The source roots, each with its part of the namespace package.
ROOTS = ("proto", "runtime", "facade", "executor", "cli")


def folders_with_modules(root: Path) -> set[str]:
    """The paths of all folders under `root`, itself included, that hold Python files."""
    return {str(file.parent.relative_to(ROOT)) for file in root.rglob("*.py")}


def listed_folders(prefixes: tuple[str, ...]) -> list[str]:
    """The folders under these prefixes in the tables of the rooms."""
    rows = re.findall(r"^\| `([\w./]+)` \|", section(PAGE, "The rooms"), re.M)
    return [row for row in rows if row.partition("/")[0] in prefixes]


def test_rooms_table_lists_every_package_folder_of_the_product() -> None:
    """Every folder with Python files is listed once, and every listed folder has Python files."""
    expected = set[str]().union(
        *(folders_with_modules(ROOT / root / "fabric_jobs") for root in ROOTS)
    )

    assert sorted(listed_folders(ROOTS)) == sorted(expected)


def test_rooms_table_lists_every_folder_of_tests() -> None:
    """Every folder of `tests` that holds Python files, at its first level."""
    folders = {folder.split("/")[1] for folder in folders_with_modules(ROOT / "tests") - {"tests"}}

    assert sorted(listed_folders(("tests",))) == sorted(f"tests/{name}" for name in folders)


def test_bounds_table_has_the_numbers_of_the_code() -> None:
    """Each number of the table, from top to bottom."""
    assert limits(PAGE, "Bounds") == [
        *(turns.MAX_COMMANDS, turns.MAX_COMMANDS_OF_A_JOB),
        *(memory.MAX_PENDING, memory.MAX_PENDING_BYTES // 1024**2),
        session.MAX_PENDING_ENTRIES,
        watches.MAX_WATCH_BACKLOG,
        timeline.MAX_ROWS,
        1 / live.UPDATE_INTERVAL_S,
        1 / throttle.INTERVAL_S,
    ]
