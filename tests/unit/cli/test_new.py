"""The project that `fabric-jobs new` makes."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fabric_jobs.cli.main import main
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import variables
from tests.support.pages import shown
from tests.support.paths import ROOT

NAME = "daily-sales-2"


def make(name: str) -> Result:
    """`fabric-jobs new` in the current folder."""
    return CliRunner().invoke(main, ["new", name])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as it is made."""
    monkeypatch.chdir(tmp_path)
    made = make(NAME)
    assert (made.exit_code, made.stdout) == (0, f"{NAME}\n")
    return tmp_path / NAME


def test_a_project_passes_its_own_tests(project: Path) -> None:
    """As it is made, by the command that the pages show."""
    (command,) = {one.command for one in shown("pytest")}
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


def test_a_project_has_its_own_name_throughout(project: Path) -> None:
    """In every form; nothing of the template's is left."""
    files = {file.name: file.read_text() for file in project.iterdir()}
    whole = "".join(files.values())

    assert {"daily_sales_2.py", "test_daily_sales_2.py", "README.md", ".gitignore"} < files.keys()
    assert "Contoso.DailySales2.Item" in whole
    assert re.findall(r"(?i)my.?workload", whole + "".join(files)) == []


def test_a_project_s_compose_file_runs_what_the_repository_s_does(project: Path) -> None:
    """The same images, addresses and health checks; each variable is a setting."""
    whole = yaml.safe_load((project / "compose.yaml").read_text())
    theirs = whole["services"]
    ours = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    facade = {each.name for each in variables(FacadeSettings)}
    executor = {each.name for each in variables(ExecutorSettings)}
    settings = re.findall(r"^(FABRIC_\w+)=", (project / "settings.env").read_text(), re.M)

    assert theirs["proxy"]["image"] == ours["proxy"]["image"]
    assert set(theirs["proxy"]["ports"]) <= set(ours["proxy"]["ports"])
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
def test_a_name_that_can_t_be_one_is_told_with_one_that_can(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line; nothing is made."""
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, ["new", "--", name])

    assert told.exit_code == 2
    assert told.stderr.count("\n") == 1
    assert "such as my-workload" in told.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["executor", "json", "class", "fabric-jobs"])
def test_a_module_must_be_found_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of Python's or of a package would be found in its place."""
    monkeypatch.chdir(tmp_path)
    told = make(name)

    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "is taken" in told.stderr


def test_what_is_there_is_never_overwritten(project: Path) -> None:
    """Be it a project or anything else."""
    (project / "README.md").write_text("mine")
    told = make(NAME)

    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert f"{NAME} is there already" in told.stderr
    assert (project / "README.md").read_text() == "mine"


def test_the_template_is_in_the_wheel(tmp_path: Path) -> None:
    """Every file of it, those with a dot too."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.iterdir()
    template = {
        file.name
        for file in (ROOT / "cli" / "fabric_jobs" / "cli" / "template").iterdir()
        if file.is_file()
    }

    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert {
        Path(name).name for name in names if name.startswith("fabric_jobs/cli/template/")
    } == template


@pytest.mark.parametrize("page", ["README.md", "cli/fabric_jobs/cli/template/README.md"])
def test_a_page_s_commands_name_what_a_new_project_has(page: str) -> None:
    """Its module, its executor and its job."""
    text = (ROOT / page).read_text()
    (module,) = re.findall(r"^\$ fabric-jobs dev (\w+):executor$", text, re.M)
    handlers = (ROOT / "cli" / "fabric_jobs" / "cli" / "template" / f"{module}.py").read_text()
    submitted = re.findall(r"^\$ .*fabric-jobs submit (\S+) (\S+) ", text, re.M)

    assert submitted
    for item_type, job_type in submitted:
        assert f'"{item_type}", "{job_type}"' in handlers
