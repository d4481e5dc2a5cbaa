"""The built wheel and source distribution, installed outside the checkout.

One environment has everything that requirements.lock names, and one has only what the wheel's base
needs. pip takes the packages from its cache, or from the package index that it is configured for.
"""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support import node_examples
from tests.support.brokers import Cluster
from tests.support.command import ENVIRONMENT
from tests.support.pages import find_commands
from tests.support.paths import ROOT
from tests.support.programs import Fabric, facade, new_id, program
from tests.support.requirements import missing

ROOTS = ("proto", "runtime", "facade", "executor", "cli")
PARTS = {"contract", "status", "runtime", "facade", "executor", "cli"}
PYRIGHT = Path(__file__).parent / "pyright"
#: What pip writes if it can't reach a package index.
_OFFLINE = re.compile(r"NewConnectionError|NameResolutionError|ProxyError|ConnectTimeout")

GREETER = """
from fabric_jobs.executor import Executor, Job

executor = Executor()


@executor.job("Test.Item", "greet")
async def greet(job: Job[dict[str, str]]) -> None:
    await job.progress(0.5, f"hello {job.payload['name']}")
"""

#: A handler module. Each line with a mistake ends in `# error`.
MISTAKES = """
from datetime import timedelta

import msgspec

from fabric_jobs.executor import Executor, Job, JobFailed, Retry
from fabric_jobs.executor.testing import run_job

executor = Executor()


class Refresh(msgspec.Struct):
    table: str = "sales"


@executor.job("Test.Item", "refresh", retry=Retry(max_attempts=3), run_timeout_s=600)
async def refresh(job: Job[Refresh]) -> None:
    await job.progress(0.5, job.payload.table)
    await job.progress("half")  # error
    print(job.payload.rows)  # error
    raise JobFailed("The table is locked.", code="TableLocked", source="User", permanent=True)


@executor.job("Test.Item", "publish", retry=3)  # error
def publish(job: Job[Refresh]) -> None:
    raise JobFailed(permanent=True)  # error


@executor.job("Test.Item", "archive", run_timeout_s=timedelta(minutes=1))  # error
def archive(job: Job[Refresh]) -> None:
    pass


outcome = run_job(executor, "Test.Item", "refresh", {"table": "orders"})
status: int = outcome.status  # error
message: str = outcome.progress[-1].message
"""


class Environment(Struct, frozen=True):
    """A virtual environment without pip."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Environment":
        """Creates the environment."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        return cls(folder)

    @property
    def python(self) -> str:
        """The path of the environment's Python."""
        return str(self.folder / "bin" / "python")

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return packages

    def install(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        """Runs `pip install`. Skips the test if pip can't reach a package index."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "-q"]
        done = run(*pip, "--disable-pip-version-check", "--retries", "1", *arguments, cwd=cwd)
        if done.returncode and _OFFLINE.search(done.stderr):
            missing("package index", f"pip can't reach a package index: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr

    def run(
        self, command: str, *arguments: str | Path, cwd: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of the environment in the folder `cwd`, outside the checkout."""
        return run(self.folder / "bin" / command, *arguments, cwd=cwd, **environment)


def run(
    *command: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command, without settings of fabric-jobs unless they are given."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def build(source: Path, target: str, output: Path) -> Path:
    """Builds the wheel or the source distribution (`sdist`) of a folder with sources."""
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(output)]
    subprocess.run(hatchling, cwd=source, check=True, capture_output=True, timeout=60)
    (built,) = output.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def constraints(lock: str, folder: Path) -> Path:
    """Writes the versions of a lock without their hashes, which pip would demand of the wheel."""
    pins = re.findall(r"^(\S+==[^\\\n]*)", (ROOT / lock).read_text(), re.M)
    path = folder / "constraints.txt"
    path.write_text("\n".join(pins))
    return path


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the lock, and the command that the README of a new project shows."""
    folder = tmp_path_factory.mktemp("full")
    environment = Environment.create(folder / "environment")
    environment.install("--no-deps", "--require-hashes", "-r", ROOT / "requirements.lock")
    (command,) = find_commands("pip")
    (words,) = command.parts
    arguments = [re.sub(r"/path/to/[^[]+", str(wheel), word) for word in words]
    assert (arguments[:2], arguments.count(f"{wheel}[cli]")) == (["pip", "install"], 1)
    environment.install("-c", constraints("requirements-dev.lock", folder), *arguments[2:])
    return environment


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its base dependencies, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("base")
    environment = Environment.create(folder / "environment")
    environment.install("-c", constraints("requirements.lock", folder), wheel)
    return environment


def files_of_wheel(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_the_files_of_the_source_roots_and_nothing_else(wheel: Path) -> None:
    """The only package at the top is `fabric_jobs`, and each of its parts has a py.typed."""
    sources = {
        path.relative_to(ROOT / root).as_posix()
        for root in ROOTS
        for path in (ROOT / root / "fabric_jobs").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = files_of_wheel(wheel)
    metadata = {name for name in names if name.startswith("fabric_jobs-0.1.0.dist-info/")}

    assert names - metadata == sources
    assert {name.partition("/")[0] for name in names - metadata} == {"fabric_jobs"}
    assert {f"fabric_jobs/{part}/py.typed" for part in PARTS} < names
    assert "fabric_jobs/cli/template/.gitignore" in names
    assert {Path(name).name for name in metadata} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt")
    }


def test_sdist_has_the_source_roots_and_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """It has no tests, pages or benchmarks."""
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()

    assert {path.name for path in unpacked.iterdir()} == {
        *ROOTS,
        *("pyproject.toml", "README.md", "CHANGELOG.md", "requirements.lock"),
        *("PKG-INFO", ".gitignore"),  # hatchling adds these two
    }
    rebuilt = build(unpacked, "wheel", tmp_path / "wheel")
    assert rebuilt.read_bytes() == wheel.read_bytes()


def test_demo_runs_beside_packages_named_executor_and_facade(
    full: Environment, tmp_path: Path
) -> None:
    """Such packages are on public indexes. They fail when they are imported, and are not."""
    (tmp_path / "executor.py").write_text("raise ImportError('another package')\n")
    (tmp_path / "facade").mkdir()
    (tmp_path / "facade" / "__init__.py").write_text("raise ImportError('another package')\n")
    result = full.run("fabric-jobs", "demo", cwd=tmp_path, PYTHONPATH=str(tmp_path))

    assert result.returncode == 0, result.stderr
    assert re.search(r" s  Completed  startTimeUtc=\S+ endTimeUtc=\S+\n$", result.stdout)


def expected_errors() -> list[int]:
    """The numbers of the lines with a mistake."""
    lines = MISTAKES.splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# error")]


def test_mypy_finds_the_mistakes_in_a_handler_module(full: Environment, tmp_path: Path) -> None:
    """mypy is strict, and reports nothing else."""
    (tmp_path / "handlers.py").write_text(MISTAKES)
    result = run(
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", full.python),
        *("--cache-dir", tmp_path / "cache", "handlers.py"),
        cwd=tmp_path,
    )

    found = re.findall(r"^handlers\.py:(\d+): error: ", result.stdout, re.M)
    assert [int(number) for number in found] == expected_errors(), result.stdout
    assert f"Found {len(found)} errors in 1 file" in result.stdout


def test_pyright_finds_the_mistakes_in_a_handler_module(full: Environment, tmp_path: Path) -> None:
    """pyright is strict, and reports nothing else."""
    if reason := node_examples.why_unavailable() or node_examples.install(PYRIGHT):
        missing("pyright", reason)
    (tmp_path / "handlers.py").write_text(MISTAKES)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    pyright = PYRIGHT / "node_modules" / ".bin" / "pyright"
    result = run(pyright, "--outputjson", "--pythonpath", full.python, cwd=tmp_path)

    found = json.loads(result.stdout)["generalDiagnostics"]
    # An attribute that does not exist is several errors in strict mode.
    lines = {one["range"]["start"]["line"] + 1 for one in found}
    assert sorted(lines) == expected_errors(), result.stdout


def test_command_of_the_base_install_names_the_missing_extra(
    base: Environment, tmp_path: Path
) -> None:
    """It is one line on stderr, and a non-zero exit code."""
    result = base.run("fabric-jobs", "--help", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: `fabric-jobs` needs the extra fabric-jobs[cli]: click is not installed. "
        "Install it from a checkout or a wheel: pip install 'PATH[cli]'.\n"
    )
    assert not {"litestar", "confluent_kafka"} & {path.name for path in base.packages.iterdir()}


async def test_base_install_runs_an_executor(
    base: Environment,
    embedded: Cluster,
    topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The executor runs a job of a facade from the checkout, on the embedded broker."""
    (tmp_path / "handlers.py").write_text(GREETER)
    monkeypatch.chdir(tmp_path)
    environment = embedded.environment(topic)
    async with facade(**environment) as replica:
        settings = environment | {"FABRIC_JOBS_FACADES": replica.ready["grpc"]}
        command = (base.python, "-m", "fabric_jobs.executor", "handlers:executor")
        async with program(*command, environment=settings), Fabric(replica, "greet") as fabric:
            job_id = new_id()
            await fabric.create(job_id, {"name": "you"})
            state = await fabric.until(job_id, "Completed", "Failed")

    assert state["status"] == "Completed", state


def test_new_project_installs_with_pip_and_passes_its_tests(
    full: Environment, tmp_path: Path
) -> None:
    """The installed project has only its module."""
    created = full.run("fabric-jobs", "new", "daily-sales", cwd=tmp_path)
    assert (created.returncode, created.stdout) == (0, "daily-sales\n"), created.stderr
    project = tmp_path / "daily-sales"
    full.install(".", cwd=project)
    tested = full.run("pytest", "-q", cwd=project)

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert re.search(r"^5 passed", tested.stdout, re.M)
    installed = {path.name for path in full.packages.iterdir() if "daily" in path.name}
    assert installed == {"daily_sales.py", "daily_sales-0.1.0.dist-info"}
