"""docs/cli.md lists the commands and options of the command line."""

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from fabric_jobs.cli.main import main
from tests.support.pages import find_commands
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()
#: Every command line on any page that runs `fabric-jobs`.
LINES = [one.command for one in find_commands("fabric-jobs")]


def commands(command: click.Command = main, name: str = "fabric-jobs") -> Iterator[tuple[str, str]]:
    """Each command with its groups, as a reader types it, and its options, sorted."""
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


def test_cli_page_sections_equal_the_commands() -> None:
    """Every command has a section, and no section has another name."""
    assert sorted(SECTIONS) == sorted(name for name, _ in commands())


@pytest.mark.parametrize(("name", "options"), [*commands()])
def test_options_in_section_equal_the_options_of_its_command(name: str, options: str) -> None:
    """The text of the section, without its examples, names every option and no other."""
    named = set(re.findall(r"`(--[a-z-]+)`", SECTIONS[name]))

    assert " ".join(sorted(named)) == options


@pytest.mark.parametrize("line", LINES)
def test_options_in_example_exist(line: str) -> None:
    """Every option of a command line on a page is an option of that command."""
    for part in re.findall(r"fabric-jobs [^|]*", line):
        command: click.Command = main
        words = part.split()[1:]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", ["fabric-jobs", "fabric-jobs jobs", *dict(commands())])
def test_command_with_help_option_prints_its_usage(name: str) -> None:
    """`--help` prints the usage and the options, and exits with 0."""
    result = CliRunner().invoke(main, [*name.split()[1:], "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert "--help" in result.stdout


@pytest.mark.parametrize("group", [[], ["jobs"], ["job-types"], ["executors"]], ids=str)
def test_help_of_group_has_a_whole_sentence_for_each_command(group: list[str]) -> None:
    """click cuts a longer sentence, and ends it with dots."""
    _, listed = CliRunner().invoke(main, [*group, "--help"]).stdout.split("Commands:\n")

    assert all(line.endswith(".") and not line.endswith("...") for line in listed.splitlines())
