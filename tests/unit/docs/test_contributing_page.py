"""CONTRIBUTING.md and the pre-commit configuration agree with the project."""

import re
import tomllib

import yaml

from tests.support.pages import find_commands, section
from tests.support.paths import ROOT

PAGE = "CONTRIBUTING.md"
CONFIGURATION = ROOT / ".pre-commit-config.yaml"


def test_recipe_names_a_test_that_complains() -> None:
    """Each recipe under *Add something* names at least one file of a test."""
    text = (ROOT / PAGE).read_text()
    recipes = re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", text, re.M | re.S)

    assert [name for name, _ in recipes] == [
        *("An event type", "A setting", "A command", "A metric", "An alert", "An RPC")
    ]
    assert [name for name, steps in recipes if not re.search(r"`tests/[\w/]+\.py`", steps)] == []


def test_generated_files_on_page_are_those_that_make_docs_writes() -> None:
    """The generators that `make docs` runs are named."""
    generators = re.findall(r"\$\(BIN\)/python (docs/\w+\.py)", (ROOT / "Makefile").read_text())

    assert generators
    assert [one for one in generators if f"`{one}`" not in section(PAGE, "Documentation")] == []


def test_pre_commit_hook_runs_make_check_and_downloads_nothing() -> None:
    """The one hook is local, and `pre-commit` is a tool of the development environment."""
    (repository,) = yaml.safe_load(CONFIGURATION.read_text())["repos"]
    (hook,) = repository["hooks"]
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]

    assert repository["repo"] == "local"
    assert (hook["entry"], hook["language"]) == ("make check", "system")
    assert any(str(tool).startswith("pre-commit>") for tool in tools)
    assert [one.command for one in find_commands("pre-commit")] == ["pre-commit install"]


def test_tag_on_page_is_that_of_the_version() -> None:
    """A release is tagged with `v` and its version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert [one.command for one in find_commands("git")] == [f"git tag v{version}"]
