"""`python -m bench.page JSON... PAGE`: writes the figures of runs of `make bench` into a page.

Each JSON is the output of one run with `--json`. The row of a measured figure replaces the page's
row of the same name. The block between `BEGIN` and `END` describes the runs.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import msgspec
from msgspec import Struct

from bench.report import Figure, as_row

BEGIN, END = "<!-- runs -->\n", "<!-- end of runs -->\n"
_ROW = re.compile(r"^\| `(\w+)` \|.*$", re.MULTILINE)


class Run(Struct):
    """The output of one run."""

    figures: list[Figure]
    #: The machine and the versions.
    ground: dict[str, str]


def write_rows(page: str, runs: Sequence[Run]) -> str:
    """The page with the rows and the description of the runs.

    Raises `ValueError` where the page has no row for a figure, or no block for the description.
    """
    rows = {one.name: as_row(one) for run in runs for one in run.figures if one.value is not None}
    known = set(_ROW.findall(page))
    if missing := rows.keys() - known:
        raise ValueError(f"the page has no row for {', '.join(sorted(missing))}")
    page = _ROW.sub(lambda row: rows.get(row[1], row[0]), page)
    begin, _, rest = page.partition(BEGIN)
    _, end, rest = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN.strip()} and {END.strip()}")
    block = [_describe(run) for run in runs]
    if older := [name for name in _ROW.findall(page) if name not in rows]:
        block.append(_bullet(f"Rows of earlier runs: {', '.join(f'`{name}`' for name in older)}."))
    return begin + BEGIN + "\n".join(block) + "\n" + END + rest


def _describe(run: Run) -> str:
    return _bullet("; ".join(f"{name}: {value}" for name, value in run.ground.items()) + ".")


def _bullet(text: str) -> str:
    return fill(text, 128, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    *files, target = map(Path, sys.argv[1:])
    made = [msgspec.json.decode(file.read_bytes(), type=Run) for file in files]
    target.write_text(write_rows(target.read_text(), made))
