"""What `make` says to a newcomer before it installs anything."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.requirements import missing

#: Runs `-c CODE` as a Python 3.10 would.
OLD_PYTHON = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.version_info = (3, 10); exec(sys.argv[2])' "$@"
"""


def test_make_with_an_older_python_says_which_one_it_needs_and_installs_nothing(
    tmp_path: Path,
) -> None:
    """Otherwise pip fails with a long error about the first package that has no fitting version."""
    if not shutil.which("make"):
        missing("make", "make is not installed")
    for name in ("pyproject.toml", "requirements-dev.lock"):
        (tmp_path / name).touch()
    python = tmp_path / "python3.10"
    python.write_text(OLD_PYTHON)
    python.chmod(0o755)
    command = [
        "make",
        "-C",
        str(tmp_path),
        "-f",
        str(ROOT / "Makefile"),
        "check",
        f"PYTHON={python}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert done.stderr.startswith(
        f"fabric-jobs needs Python 3.11 or newer, and {python} is 3.10. Name a newer Python: "
        "make check PYTHON=python3.13\n"
    )
    assert not (tmp_path / ".venv").exists()
