"""Writes docs/settings.md from the settings and the `#:` comments above them: `make docs`."""

import inspect
import re
from pathlib import Path

from msgspec import Struct

from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import (
    ClientSettings,
    KafkaSettings,
    Variable,
    value_types,
    variables,
)

PAGE = Path(__file__).with_suffix(".md")
OPENING = """\
# Settings

Each program reads its settings from the environment when it starts; an empty value stands for
the default.

Any of them may come from a file instead, as secrets do: `FABRIC_JOBS_POOL_FILE=/run/secrets/pool`
gives what `FABRIC_JOBS_POOL` would, without the file's last line break. Both at once are refused.

A value that can't be used ends the program with one line, which names the variable and a value that
would do, and with exit code 1 (facade) or 2 (executor). A variable whose name is close to that of a
setting, and is none, is a warning in the log. `fabric-jobs check` finds both before.

This page is written by `make docs`, from the settings in the code.
"""
SECTIONS = [
    ("Both programs", None, KafkaSettings),
    ("The facade", "`python -m fabric_jobs.facade`", FacadeSettings),
    ("The executor and the commands about jobs", None, ClientSettings),
    ("The executor", "`python -m fabric_jobs.executor MODULE:EXECUTOR`", ExecutorSettings),
]
_HEAD = "| variable | default | may be | meaning |\n|---|---|---|---|\n"


def page() -> str:
    """The whole page."""
    parts = [OPENING]
    for title, command, settings in SECTIONS:
        rows = [
            _row(variable, meanings(settings)[variable.field])
            for variable in variables(settings)
            if variable.field in settings.__annotations__  # not those of the base
        ]
        parts += [f"## {title}\n", f"{command}\n" if command else "", _HEAD + "".join(rows)]
    return "\n".join(filter(None, parts))


def meanings(settings: type[Struct]) -> dict[str, str]:
    """By field of the class, the `#:` comment above it, in one line."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in inspect.getsource(settings).splitlines():
        if said := re.match(r"    #: (.*)", line):
            comment.append(said[1])
        elif field := re.match(r"    (\w+):", line):
            found[field[1]] = " ".join(comment)
            comment = []
    return found


def _row(variable: Variable, meaning: str) -> str:
    assert meaning, f"{variable.field} has no comment of its own"
    default = value_types.write(variable.default)
    cells = [
        f"`{variable.name}`",
        f"`{default}`" if default else "",
        value_types.words(variable.type),
    ]
    return f"| {' | '.join([*cells, meaning])} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
