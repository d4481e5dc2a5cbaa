"""The pages of the documentation: their commands, with the output that they show, and their tables.

Commands stand in fenced blocks of `console`, behind `$ `. Each must be known to a test.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

TEMPLATE = ROOT / "cli" / "fabric_jobs" / "cli" / "template" / "README.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    TEMPLATE,
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "tests" / "chaos" / "README.md",
]
#: By a command's first word, the test file that runs every such command, or checks it.
TESTS = {
    "cd": "tests/unit/docs/test_commands.py",
    "curl": "tests/acceptance/test_pages.py",
    "docker": "tests/acceptance/test_compose.py",
    "export": "tests/unit/docs/test_commands.py",
    "fabric-jobs": "tests/unit/docs/test_cli_page.py",
    "for": "tests/acceptance/test_grpc_docs.py",
    "git": "tests/unit/docs/test_contributing_page.py",
    "grpcurl": "tests/acceptance/test_grpc_docs.py",
    "jq": "tests/acceptance/test_pages.py",
    "kafka-acls.sh": "tests/unit/runtime/kafka/test_clients.py",
    "kcat": "tests/acceptance/test_pages.py",
    "kubectl": "tests/integration/test_kubernetes.py",
    "make": "tests/unit/docs/test_commands.py",
    "node": "tests/acceptance/test_executor_in_node.py",
    "npm": "tests/acceptance/test_executor_in_node.py",
    "openssl": "tests/acceptance/test_grpc_docs.py",
    "pip": "tests/acceptance/test_wheel.py",
    "pre-commit": "tests/unit/docs/test_contributing_page.py",
    "pytest": "tests/unit/cli/commands/test_new.py",
    "python": "tests/unit/docs/test_commands.py",
    "source": "tests/unit/docs/test_commands.py",
}
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"^\$ (.*; do\n(?:.*\n)*?  done|.*)\n((?:(?!\$ ).*\n)*)", re.M)
_INLINE = re.compile(r"`((?:docker|make|python) [^`]+)`")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
#: What differs from run to run in an output, and the pattern of what may stand there.
_ANY = {_ID: _ID, _TIME: _TIME, "…": ".*"}


class ShownCommand(NamedTuple):
    """A command on a page, with the output below it; a command inside a sentence has no output."""

    page: str
    command: str
    output: str = ""

    @property
    def parts(self) -> list[list[str]]:
        """The words of each part of the first line; pipes and `&&` separate the parts.

        The file that `>` writes is no word of its part.
        """
        lexer = shlex.shlex(self.command.partition("\n")[0], posix=True, punctuation_chars="|&")
        lexer.whitespace_split = True
        found: list[list[str]] = [[]]
        for word in lexer:
            if word in ("|", "&&"):
                found.append([])
            elif word == ">":
                next(lexer)
            elif found[-1] or not re.match(r"\w+=", word):
                found[-1].append(word)
        return [part for part in found if part]

    @property
    def programs(self) -> set[str]:
        """The name of the program of each part."""
        return {Path(part[0]).name for part in self.parts}

    def matches(self, output: str) -> bool:
        """Whether a run's output is the one on the page; `…`, ids and times stand for others."""
        pattern = "".join(
            next((wide for one, wide in _ANY.items() if re.fullmatch(one, piece)), re.escape(piece))
            for piece in re.split(f"({'|'.join(_ANY)})", self.output.rstrip("\n"))
        )
        return re.fullmatch(pattern, output.rstrip("\n"), re.S) is not None


def command_blocks() -> Iterator[list[ShownCommand]]:
    """The commands of each console block, page by page."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text()):
            yield [ShownCommand(name_of(page), *found) for found in _COMMAND.findall(block)]


def find_commands(*programs: str) -> list[ShownCommand]:
    """The commands, in blocks and in sentences, that have a part which runs one of the programs."""
    inline = [
        ShownCommand(name_of(page), command)
        for page in PAGES
        for command in _INLINE.findall(re.sub(_BLOCK, "", page.read_text()))
    ]
    in_blocks = [one for block in command_blocks() for one in block]
    return [one for one in in_blocks + inline if one.programs & set(programs)]


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


def section(page: str, heading: str) -> str:
    """The text of a section: from its heading to the next heading of its level or above."""
    text = (ROOT / page).read_text()
    begin = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.M)
    assert begin, f"{page} has no section {heading!r}"
    rest = text[begin.end() :]
    end = re.search(rf"^#{{1,{len(begin[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def table(text: str) -> list[list[str]]:
    """The rows of the first table in a text, cell by cell, without its two head rows."""
    (lines, *_) = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    rows = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    return rows[2:]


def limits(page: str, heading: str) -> list[int]:
    """Every number in the second column of a section's table, from top to bottom."""
    cells = [row[1] for row in table(section(page, heading))]
    return [int(text.replace(",", "")) for cell in cells for text in re.findall(r"[\d,]*\d", cell)]
