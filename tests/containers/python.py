"""The unit tests on the Python of the image's base."""

import hashlib
import os
from pathlib import Path

from tests.containers.docker import run
from tests.support.paths import ROOT

LOCK = ROOT / "requirements-dev.lock"


def unit_tests() -> str:
    """In the engine's root file system; the environment is kept until the lock changes.

    `CI` is set: `rootfs.sh` decides which programs the root file system has, so a test that is
    skipped because a program is missing is a failure on every machine.
    """
    folder = Path(os.environ["ENGINE_VENV"])
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    pip = (f"{folder}/bin/python", "-m", "pip", "install", "-q", "--no-deps")
    ready = folder / "lock"
    if not ready.exists() or ready.read_text() != key:
        run("inside", "python3", "-m", "venv", "--clear", str(folder))
        run("inside", *pip, "--require-hashes", "-r", str(LOCK), timeout=600)
        ready.write_text(key)
    run("inside", *pip, "--no-build-isolation", "-e", ".")
    pytest = ("-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/unit")
    environment = (
        "env",
        "-u",
        "PYTHONPATH",
        "CI=1",
        f"PATH={folder}/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin",
    )
    said = run("inside", *environment, f"{folder}/bin/python", *pytest, timeout=900)
    version = run("inside", f"{folder}/bin/python", "--version")
    return f"{version}: {said.splitlines()[-1]}"
