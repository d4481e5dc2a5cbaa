"""mypy, as pyproject.toml configures it, checks every folder that has Python sources."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

ERROR = 'PLANTED: int = "a type error"\n'


def packages() -> Iterator[Path]:
    """The packages at the top of each source root, and each other folder with sources.

    The paths are relative to the repository.
    """
    for folder in sorted(path for path in ROOT.iterdir() if path.is_dir()):
        if folder.name.startswith(".") or not any(folder.rglob("*.py")):
            continue
        parts = folder / "fabric_jobs"
        inner = sorted(path for path in parts.iterdir() if path.is_dir()) if parts.is_dir() else []
        for package in inner or [folder]:
            if package.name != "__pycache__":
                yield package.relative_to(ROOT)


def test_type_error_in_each_package_is_found_by_mypy(tmp_path: Path) -> None:
    """A copy of the layout has one type error in each package, and mypy reports every one."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = {package / "planted.py" for package in packages()}
    for path in planted:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(ERROR, encoding="utf-8")
        if (ROOT / path.parent / "__init__.py").exists():
            (tmp_path / path.parent / "__init__.py").touch()

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    found = {
        Path(line.partition(":")[0]) for line in done.stdout.splitlines() if ": error: " in line
    }
    assert found == planted, done.stdout + done.stderr
    roots = {path.parts[0] for path in planted if "fabric_jobs" in path.parts}
    assert roots == {"proto", "runtime", "facade", "executor", "cli"}
