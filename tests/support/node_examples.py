"""The examples in JavaScript, and the npm packages that a folder's lock names."""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
_NODE_MAJOR = 20
_INSTALL_S = 100


def why_unavailable() -> str | None:
    """Why this machine can't run the examples, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return f"no Node {_NODE_MAJOR}+ with npm on PATH"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < _NODE_MAJOR:
        return f"the Node on PATH is not {_NODE_MAJOR}+"
    return None


def install(folder: Path = EXAMPLES) -> str | None:
    """Installs the packages of the folder's lock once. Returns why it failed, or None."""
    lock = folder / "package-lock.json"
    # npm writes this file last.
    installed = folder / "node_modules/.package-lock.json"
    with lock.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)  # against another worker of pytest
        if installed.exists() and installed.stat().st_mtime > lock.stat().st_mtime:
            return None
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
        )
    return None if done.returncode == 0 else f"npm ci failed: {done.stderr[-500:]}"
