"""The commands that README.md, a new project's README.md and docs/ show, each with what it prints.

They stand in fenced blocks of `console`, behind `$ `. None may stand there that no test knows of.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

TEMPLATE = ROOT / "cli" / "fabric_jobs" / "cli" / "template" / "README.md"
PAGES = [ROOT / "README.md", TEMPLATE, *sorted((ROOT / "docs").glob("*.md"))]
#: By a command's first word, the tests that run all that are shown, or hold them to what there is.
TESTS = {
    "cd": "tests/unit/docs/test_docs.py",
    "curl": "tests/acceptance/test_pages.py",
    "docker": "tests/acceptance/test_compose.py",
    "export": "tests/unit/docs/test_docs.py",
    "fabric-jobs": "tests/unit/docs/test_cli_page.py",
    "for": "tests/acceptance/test_grpc_docs.py",
    "grpcurl": "tests/acceptance/test_grpc_docs.py",
    "jq": "tests/acceptance/test_pages.py",
    "kafka-acls.sh": "tests/unit/runtime/kafka/test_clients.py",
    "kcat": "tests/acceptance/test_pages.py",
    "make": "tests/unit/docs/test_docs.py",
    "node": "tests/acceptance/test_executor_in_node.py",
    "npm": "tests/acceptance/test_executor_in_node.py",
    "openssl": "tests/acceptance/test_grpc_docs.py",
    "pip": "tests/acceptance/test_wheel.py",
    "pytest": "tests/unit/cli/commands/test_new.py",
    "python": "tests/unit/docs/test_docs.py",
    "source": "tests/unit/docs/test_docs.py",
    "xargs": "tests/unit/docs/test_cli_page.py",
}
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"^\$ (.*; do\n(?:.*\n)*?  done|.*)\n((?:(?!\$ ).*\n)*)", re.M)
_INLINE = re.compile(r"`((?:docker|make|python) [^`]+)`")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
#: What another run prints otherwise, and all that it may print there.
_ANY = {_ID: _ID, _TIME: _TIME, "…": ".*"}


class Shown(NamedTuple):
    """A command, with what stands below it; that is nothing for one inside a sentence."""

    page: str
    command: str
    printed: str = ""

    @property
    def parts(self) -> list[list[str]]:
        """The words of each part of the first line, by pipes and `&&`, without assignments."""
        lexer = shlex.shlex(self.command.partition("\n")[0], posix=True, punctuation_chars="|&")
        lexer.whitespace_split = True
        found: list[list[str]] = [[]]
        for word in lexer:
            if word in ("|", "&&"):
                found.append([])
            elif found[-1] or not re.match(r"\w+=", word):
                found[-1].append(word)
        return [part for part in found if part]

    @property
    def words(self) -> set[str]:
        """The name of the program of each part."""
        return {Path(part[0]).name for part in self.parts}

    def is_what(self, seen: str) -> bool:
        """Whether a run printed this, where … stands for anything, and ids and times for others."""
        pattern = "".join(
            next((wide for one, wide in _ANY.items() if re.fullmatch(one, piece)), re.escape(piece))
            for piece in re.split(f"({'|'.join(_ANY)})", self.printed.rstrip("\n"))
        )
        return re.fullmatch(pattern, seen.rstrip("\n"), re.S) is not None


def blocks() -> Iterator[list[Shown]]:
    """The commands of each block."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text()):
            yield [Shown(str(page.relative_to(ROOT)), *found) for found in _COMMAND.findall(block)]


def shown(*words: str) -> list[Shown]:
    """The commands that begin with one of these words, or have a part that does."""
    inside = [
        Shown(str(page.relative_to(ROOT)), command)
        for page in PAGES
        for command in _INLINE.findall(re.sub(_BLOCK, "", page.read_text()))
    ]
    found = [one for block in blocks() for one in block]
    return [one for one in found + inside if one.words & set(words)]
