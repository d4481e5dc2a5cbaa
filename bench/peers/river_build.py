"""Builds River's programs with Go, once for each version of their source."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("river")


def why_unavailable() -> str | None:
    """Why this machine can't build River's programs, or None."""
    return None if shutil.which("go") else "no Go: https://go.dev/dl"


def build(folder: Path) -> str:
    """Builds the program into the folder, and returns its path. Go fetches the modules."""
    target = folder / "bin" / "river-peer"
    subprocess.run(["go", "build", "-o", target.absolute(), "."], cwd=SOURCE, check=True)
    return str(target.absolute())
