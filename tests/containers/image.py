"""The image by itself."""

import json
import time

from tests.containers.docker import run
from tests.support.paths import ROOT

#: As an orchestrator restricts a container.
RESTRICTED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
EXECUTOR = ("python", "-m", "fabric_jobs.executor", "fabric_jobs.cli.example:executor")
FACADE = ("python", "-m", "fabric_jobs.facade")
CHECK = (*FACADE, "check")


def build() -> str:
    """By `docker compose build`; a second build takes every layer from the cache."""
    run("docker", "compose", "build", timeout=600)
    assert "CACHED" in run("docker", "compose", "--progress", "plain", "build")
    base = next(
        line.partition("=")[2]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("ARG PYTHON=")
    )
    size, below = (
        int(run("docker", "image", "inspect", "--format", "{{.Size}}", name))
        for name in ("fabric-jobs", base)
    )
    return f"{(size - below) / 1e6:.0f} MB on its base"


def inspect() -> str:
    """The image's own user, ports, labels, health check and bill of materials; no pip, no Faker."""
    (found,) = json.loads(run("docker", "image", "inspect", "fabric-jobs"))
    config = found["Config"]
    bill = json.loads(run("docker", "run", "--rm", "fabric-jobs", "cat", "sbom.cdx.json"))
    program = (
        "import importlib.metadata as m, sys; print(sys.version.split()[0]);"
        "print(*sorted(each.name for each in m.distributions()))"
    )
    said = run("docker", "run", "--rm", "fabric-jobs", "python", "-c", program)
    version, _, names = said.partition("\n")
    listed = {each["name"] for each in bill["components"]}

    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"].keys() == {"5000/tcp", "5001/tcp"}
    assert config["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert "livez" in config["Healthcheck"]["Test"][1]
    assert {name.replace("_", "-").lower() for name in names.split()} == listed | {"fabric-jobs"}
    return f"Python {version}, {len(listed)} packages"


def run_read_only() -> str:
    """A restricted container: the programs say in one line what they miss."""
    demo = run(
        "docker", "run", "--rm", *RESTRICTED, "fabric-jobs", "fabric-jobs", "demo", check=False
    )
    assert demo.startswith("Error: The demo needs a folder for temporary files"), demo
    assert demo.count("\n") == 0, demo
    check = run("docker", "run", "--rm", *RESTRICTED, "fabric-jobs", *CHECK, check=False)
    assert "Traceback" not in check, check
    pip = "python -m ensurepip > /dev/null && python -m pip --version"
    assert "pip" in run("docker", "run", "--rm", "--user", "0", "fabric-jobs", "sh", "-c", pip)
    return "one line for each fault; a derived image can bring pip by ensurepip"


def stop_at_once() -> str:
    """SIGTERM to PID 1 while it imports: exit code 0, and none of the grace is used up."""
    slowest = 0.0
    for command in (FACADE, EXECUTOR):
        for wait_s in (0.0, 0.1, 0.3, 0.6, 1.0):
            off = ("--network", "none", "--env", "FABRIC_JOBS_AUTHENTICATION=off")
            name = run("docker", "run", "-d", *off, "fabric-jobs", *command)
            time.sleep(wait_s)
            began = time.monotonic()
            run("docker", "stop", "--time", "30", name)
            slowest = max(slowest, time.monotonic() - began)
            code = run("docker", "inspect", "--format", "{{.State.ExitCode}}", name)
            run("docker", "rm", name)
            assert code == "0", f"{command} stopped after {wait_s} s ended with {code}"
    assert slowest < 10, f"a stop took {slowest:.1f} s"
    return f"ten stops, the slowest in {slowest:.1f} s"
