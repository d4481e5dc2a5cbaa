"""The examples in JavaScript, with the packages that they name."""

import fcntl
import re
import shutil
import subprocess

from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
_NODE_MAJOR = 20
_INSTALL_S = 100
#: What npm writes once all is installed.
_INSTALLED = EXAMPLES / "node_modules/.package-lock.json"
_LOCK = EXAMPLES / "package-lock.json"


def why_unavailable() -> str | None:
    """Why they can't run on this machine, None when they can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return f"no Node {_NODE_MAJOR}+ with npm on PATH"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < _NODE_MAJOR:
        return f"the Node on PATH is not {_NODE_MAJOR}+"
    return None


def install() -> str | None:
    """Installs the packages of the lock, where that was not done; why it failed, if it did."""
    with _LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # against another worker of pytest
        if _INSTALLED.exists() and _INSTALLED.stat().st_mtime > _LOCK.stat().st_mtime:
            return None
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
        )
    return None if done.returncode == 0 else f"npm ci failed: {done.stderr[-500:]}"
