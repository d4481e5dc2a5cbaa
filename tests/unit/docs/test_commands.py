"""Every command on the pages is run by a test, or compared with what the code has."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from opentelemetry import environment_variables
from opentelemetry.sdk import environment_variables as sdk_variables

from fabric_jobs.cli.commands.submit import submit_command
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import FILE_SUFFIX, variables
from tests.support.pages import PAGES, TESTS, command_blocks, find_commands, name_of
from tests.support.paths import ROOT

SETTINGS = {
    each.name for struct in (FacadeSettings, ExecutorSettings) for each in variables(struct)
}
#: The environment variables that a page may name: ours, those of options, and OpenTelemetry's.
VARIABLES = (
    SETTINGS
    | {name + FILE_SUFFIX for name in SETTINGS}
    | {str(option.envvar) for option in submit_command.params if option.envvar}
    | vars(environment_variables).keys()
    | vars(sdk_variables).keys()
)
MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_program_in_commands_has_a_test_that_reads_them() -> None:
    """`TESTS` names, for each program that a page runs, the file of the test that finds it."""
    programs = {name for block in command_blocks() for one in block for name in one.programs}

    assert programs == TESTS.keys()
    for program, file in TESTS.items():
        call = rf'find_commands\([^)]*"{re.escape(program)}"'
        assert re.search(call, (ROOT / file).read_text()), (program, file)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_stand_in_console_blocks_alone(page: Path) -> None:
    """A block has commands behind prompts if and only if its language is `console`."""
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    languages = {language for language, _ in fences}

    assert languages <= {"", "console", "dockerfile", "javascript", "json", "python", "xml"}
    assert [text for language, text in fences if (language == "console") != ("$ " in text)] == []


def test_folder_after_cd_exists_or_was_just_made() -> None:
    """The folder is in the repository, or `fabric-jobs new` in the same command makes it."""
    for one in find_commands("cd"):
        made = [part[2] for part in one.parts if part[:2] == ["fabric-jobs", "new"]]
        (folder,) = (part[1] for part in one.parts if part[0] == "cd")
        assert folder in made or (ROOT / folder).is_dir(), one.command


def test_activated_environment_is_the_one_that_make_creates() -> None:
    """`source` activates the venv of the Makefile."""
    activated = {one.parts[0][1] for one in find_commands("source")}
    (folder,) = {script.removesuffix("/bin/activate") for script in activated}

    assert f"-m venv {folder}\n" in MAKEFILE


def test_make_target_and_its_variables_exist_in_makefile() -> None:
    """Every word after `make` is a target, or assigns a variable that the Makefile reads."""
    for one in find_commands("make"):
        for word in one.parts[0][1:]:
            name, given, _ = word.partition("=")
            assert (f"$({name})" if given else f"\n{name}: ") in MAKEFILE, one.command


def test_python_module_that_a_command_runs_exists() -> None:
    """`python -m` is followed by a module that can be found, and tests by files that exist."""
    for one in find_commands("python"):
        _, option, module, *arguments = one.parts[0]
        assert option == "-m"
        assert find_spec(module), one.command
        paths = [word for word in arguments if word.startswith("tests/")]
        assert all((ROOT / path).exists() for path in paths), one.command


def test_exported_variable_is_a_setting() -> None:
    """`export` names settings of ours or of OpenTelemetry."""
    for one in find_commands("export"):
        assert {word.partition("=")[0] for word in one.parts[0][1:]} <= VARIABLES, one.command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_variable_on_page_is_a_setting(page: Path) -> None:
    """Every variable of ours or of OpenTelemetry that a page names exists."""
    named = re.findall(r"\b(?:FABRIC_JOBS|OTEL)_[A-Z0-9_]*[A-Z0-9]\b", page.read_text())

    assert set(named) <= VARIABLES
