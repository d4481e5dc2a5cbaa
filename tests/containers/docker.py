"""The commands of Docker, as a person gives them."""

import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

from tests.support.paths import ROOT

#: Services that do their work once.
ENDING = {"check"}
HEALTHY_S = 180
FABRIC_JOBS = str(Path(sys.executable).with_name("fabric-jobs"))


def run(*command: str, cwd: Path = ROOT, check: bool = True, timeout: float = 300) -> str:
    """Runs a command: what it prints, its errors included. Raises `AssertionError` if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout.strip()


class Container(Struct, frozen=True):
    """A container that runs; two that are equal are one that went on."""

    id: str
    started_at: str


class Compose(Struct, frozen=True):
    """The project of a compose file."""

    folder: Path
    name: str
    options: tuple[str, ...] = ()

    def __call__(self, *words: str, check: bool = True) -> str:
        """`docker compose` in the project's folder: what it prints."""
        return run("docker", "compose", *self.options, *words, cwd=self.folder, check=check)

    def running(self) -> dict[str, Container]:
        """The containers that run, by service."""
        form = '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.StartedAt}}'
        ids = self("ps", "-q").split()
        lines = run("docker", "inspect", "--format", form, *ids).splitlines() if ids else []
        found = [line.split() for line in lines]
        return {service: Container(each, at) for service, each, at in found}

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.name}-{service}-1"

    def up(self) -> None:
        """`docker compose up -d`; returns once every service is healthy."""
        self("up", "-d")
        self.await_healthy()

    def await_healthy(self) -> None:
        """Returns once every service but those that end runs, and is healthy if it can say so."""
        expected = set(self("config", "--services").split()) - ENDING
        form = '{{index .Config.Labels "com.docker.compose.service"}}'
        form += "={{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"
        deadline = time.monotonic() + HEALTHY_S
        while True:
            ids = self("ps", "-q").split()
            lines = run("docker", "inspect", "--format", form, *ids, check=False).splitlines()
            states = dict(line.split("=") for line in lines if "=" in line)
            if {each for each, state in states.items() if state == "healthy"} >= expected:
                return
            assert time.monotonic() < deadline, f"not healthy: {states}"
            time.sleep(0.5)


def submit(item_type: str, job_type: str, *options: str, cwd: Path = ROOT) -> None:
    """Submits a job, and waits for its end. Raises `AssertionError` unless it completes."""
    said = run(
        *(FABRIC_JOBS, "submit", item_type, job_type, *options),
        *("--authority", "", "--wait"),
        cwd=cwd,
        timeout=120,
    )
    assert said.splitlines()[-1] == "Completed", said
