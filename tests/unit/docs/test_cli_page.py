"""docs/cli.md names the commands and options that there are."""

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from fabric_jobs.cli.main import main
from tests.support.pages import shown
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()
#: What a reader may type, on whichever page.
LINES = [one.command for one in shown("fabric-jobs", "xargs")]


def commands(command: click.Command = main, name: str = "fabric-jobs") -> Iterator[tuple[str, str]]:
    """The names of all commands, each with its options: of groups, those of their commands."""
    if isinstance(command, click.Group):
        for each, child in command.commands.items():
            yield from commands(child, f"{name} {each}")
    else:
        options = (one for one in command.params if isinstance(one, click.Option))
        yield name, " ".join(sorted(option for one in options for option in one.opts))


SECTIONS = {
    heading: re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    for heading, text in re.findall(r"^## `([^`]+)`\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
}


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    """None is left out, and what was renamed or removed is gone."""
    assert sorted(SECTIONS) == sorted(name for name, _ in commands())


@pytest.mark.parametrize(("name", "options"), [*commands()])
def test_the_options_of_a_section_are_those_of_its_command(name: str, options: str) -> None:
    """In its words, beside the examples."""
    named = set(re.findall(r"`(--[a-z-]+)`", SECTIONS[name]))

    assert " ".join(sorted(named)) == options


@pytest.mark.parametrize("line", LINES)
def test_the_options_of_an_example_exist(line: str) -> None:
    """A reader can type every example."""
    for part in re.findall(r"fabric-jobs [^|]*", line):
        command: click.Command = main
        words = part.split()[1:]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", ["fabric-jobs", "fabric-jobs jobs", *dict(commands())])
def test_every_command_has_help(name: str) -> None:
    """It says what the command does and what its options mean."""
    result = CliRunner().invoke(main, [*name.split()[1:], "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert "--help" in result.stdout
