"""`fabric-jobs new`: the project that it creates, and the names that it refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fabric_jobs.cli.main import main
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import variables
from tests.support.command import COMMAND
from tests.support.pages import find_commands
from tests.support.paths import ROOT

NAME = "daily-sales-2"


def create(name: str) -> Result:
    """Runs `fabric-jobs new` in the current folder."""
    return CliRunner().invoke(main, ["new", name])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new project."""
    monkeypatch.chdir(tmp_path)
    result = create(NAME)
    assert (result.exit_code, result.stdout) == (0, f"{NAME}\n")
    return tmp_path / NAME


def test_new_project_passes_its_own_tests(project: Path) -> None:
    """The command is the one that the pages show."""
    (command,) = {one.command for one in find_commands("pytest")}
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-q"],
        cwd=project,
        env={name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^5 passed", done.stdout, re.M)


def test_new_project_has_its_name_in_place_of_the_template_s(project: Path) -> None:
    """The name of the template is left in no file and no file name, in any spelling."""
    files = {file.name: file.read_text() for file in project.iterdir()}
    whole = "".join(files.values())

    assert {"daily_sales_2.py", "test_daily_sales_2.py", "README.md", ".gitignore"} < files.keys()
    assert "Contoso.DailySales2.Item" in whole
    assert re.findall(r"(?i)my.?workload", whole + "".join(files)) == []


def test_compose_file_of_a_new_project_matches_that_of_the_repository(project: Path) -> None:
    """Images, addresses and health checks are equal, and each variable is a setting."""
    whole = yaml.safe_load((project / "compose.yaml").read_text())
    theirs = whole["services"]
    ours = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    facade = {each.name for each in variables(FacadeSettings)}
    executor = {each.name for each in variables(ExecutorSettings)}
    settings = re.findall(r"^(FABRIC_\w+)=", (project / "settings.env").read_text(), re.M)

    assert theirs["proxy"]["image"] == ours["proxy"]["image"]
    assert set(theirs["network"].pop("ports")) <= set(ours["network"].pop("ports"))
    assert theirs["network"] == ours["network"]
    assert theirs["check"]["command"] == ours["check"]["command"]
    assert theirs["facade"]["command"] == ours["facade-1"]["command"]
    assert theirs["facade"]["healthcheck"] == ours["facade-1"]["healthcheck"]
    for part in ("image", "healthcheck"):
        assert theirs["kafka"][part] == ours["kafka"][part]
    assert theirs["facade"]["environment"].keys() <= facade
    assert {*theirs["executor"]["environment"], *settings} <= executor
    assert (project / theirs["executor"]["env_file"]).exists()
    for kind in ("HTTP", "GRPC"):
        address = theirs["facade"]["environment"][f"FABRIC_JOBS_{kind}_ADDRESS"]
        assert f"server facade {address}\n" in whole["configs"]["proxy"]["content"]
    assert theirs["executor"]["environment"]["FABRIC_JOBS_FACADES"] == address


@pytest.mark.parametrize(
    "name", ["My-Workload", "2nd", "a--b", "a_b", "a/b", "../a", "", "-a", "ä", "a" * 41]
)
def test_new_with_a_malformed_name_shows_a_well_formed_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one line, and nothing is created."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["new", "--", name])

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "such as my-workload" in result.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["json", "class", "fabric-jobs", "google", "click"])
def test_new_with_the_name_of_another_module_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project's module would hide the other one, or the other one would hide it.

    `fabric_jobs` and `google` are namespace packages, which a module of that name hides, too.
    """
    monkeypatch.chdir(tmp_path)
    result = create(name)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{name.replace('-', '_')} is the name of a module" in result.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["executor", "facade", "cli"])
def test_new_with_the_name_of_a_part_of_fabric_jobs_creates_a_project(
    name: str, tmp_path: Path
) -> None:
    """The parts of fabric-jobs are inside `fabric_jobs`, so they take no other name."""
    done = subprocess.run([COMMAND, "new", name], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, f"{name}\n")
    assert (tmp_path / name / f"{name}.py").exists()


def test_new_with_the_name_of_an_existing_folder_changes_nothing(project: Path) -> None:
    """The error is one line."""
    (project / "README.md").write_text("mine")
    result = create(NAME)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{NAME} already exists" in result.stderr
    assert (project / "README.md").read_text() == "mine"


@pytest.mark.parametrize("page", ["README.md", "cli/fabric_jobs/cli/template/README.md"])
def test_commands_on_a_page_name_what_a_new_project_has(page: str) -> None:
    """They name its module, its executor and its job."""
    text = (ROOT / page).read_text()
    (module,) = re.findall(r"^\$ fabric-jobs dev (\w+):executor$", text, re.M)
    handlers = (ROOT / "cli" / "fabric_jobs" / "cli" / "template" / f"{module}.py").read_text()
    submitted = re.findall(r"^\$ .*fabric-jobs submit (\S+) (\S+) ", text, re.M)

    assert submitted
    for item_type, job_type in submitted:
        assert f'"{item_type}", "{job_type}"' in handlers
