"""Kustomize itself, built by Go at the first call on a machine."""

import functools
import os
import shutil
import subprocess
from typing import Any

import yaml

from tests.support.paths import ROOT

#: The newest version that the Go of CI's machine builds.
MODULE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"


def why_unavailable() -> str | None:
    """The reason why Kustomize cannot run here; None if it can."""
    return None if shutil.which("go") else "no go on PATH: install Go 1.24 or later"


@functools.cache
def render(overlay: str) -> list[dict[str, Any]]:
    """The resources of an overlay of deploy/kubernetes."""
    folder = str(ROOT / "deploy" / "kubernetes" / overlay)
    done = subprocess.run(
        ["go", "run", MODULE, "build", folder],
        env=os.environ | {"GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
