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

Each program reads its settings from the environment when it starts. An empty value means the
default.

**From a file.** Every setting may come from a file, which is useful for secrets:
`FABRIC_JOBS_POOL_FILE=/run/secrets/pool` sets what `FABRIC_JOBS_POOL` would set, without the file's
last line break. It is an error to set both.

**Errors.** If a value can't be used, the program ends with one line that names the variable and a
value that would be accepted. The exit code is 1 (facade) or 2 (executor). If a variable looks like
a misspelt setting, the program logs a warning. `fabric-jobs check` finds both in advance.

[bounds.md](bounds.md) lists the bounds that no setting changes.

Microsoft documents the tokens that the facade verifies:
[Backend authentication and authorization overview][tokens].

`make docs` writes this page from the settings in the code.

[tokens]: https://learn.microsoft.com/fabric/workload-development-kit/back-end-authentication
"""
SECTIONS = [
    ("Both programs", None, KafkaSettings),
    ("The facade", "`python -m fabric_jobs.facade`", FacadeSettings),
    ("The executor and the commands about jobs", None, ClientSettings),
    ("The executor", "`python -m fabric_jobs.executor MODULE:EXECUTOR`", ExecutorSettings),
]
_HEAD = "| variable | default | may be | meaning |\n|---|---|---|---|\n"


def page() -> str:
    """The text of docs/settings.md."""
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
    """The `#:` comment above each field of the class, in one line, by the field's name."""
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
        value_types.describe(variable.type),
    ]
    return f"| {' | '.join([*cells, meaning])} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
