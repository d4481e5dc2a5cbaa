"""The project that `fabric-jobs new` makes, in containers."""

import os
from pathlib import Path

from tests.containers.docker import FABRIC_JOBS, Compose, run, submit

NAME = "my-workload"


def run_project() -> str:
    """Made, built on the image, and brought up by the commands of its README."""
    folder = Path(os.environ["ENGINE_FOLDER"])
    run(FABRIC_JOBS, "new", NAME, cwd=folder)
    project = Compose(folder / NAME, NAME)
    try:
        project("up", "--build", "-d")
        submit("Contoso.MyWorkload.Item", "refresh", "--payload", '{"table": "orders"}')
        before = project.running()
        project.up()
        assert project.running() == before
    finally:
        project("down", "--volumes")
    return "a job is Completed"
