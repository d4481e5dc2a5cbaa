"""The machine that the figures are measured on, and where its servers are."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.ground import JVM, Effort
from tests.support.apache_kafka import VERSION

LIBRARIES = ("aiokafka", "grpcio", "litestar", "msgspec", "uvicorn", "uvloop")
PEERS = Path(".venv-bench")
PEER_LIBRARIES = ("celery", "dbos", "fastapi", "procrastinate", "saq", "temporalio")


def described(effort: Effort) -> dict[str, str]:
    """The time, the effort, the machine's cores and load, and the versions of the programs."""
    ground = {
        "begun": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "rounds": str(effort.rounds),
        "seconds of load per round": f"{effort.seconds:g}",
        "lives per round": f"{effort.lives:,}",
        "stored jobs": f"{effort.stored:,}",
        "cores": str(os.cpu_count()),
        "load before the run": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "kafka": f"Apache Kafka {VERSION}, one broker, java {' '.join(JVM)}",
        **{name: version(name) for name in LIBRARIES},
    }
    for name in PEER_LIBRARIES:
        for found in PEERS.glob(f"lib/*/site-packages/{name}-*.dist-info"):
            ground[name] = found.name.removesuffix(".dist-info").rpartition("-")[2]
    modules = Path(__file__).with_name("peers") / "river" / "go.mod"
    if number := re.search(r"riverqueue/river v(\S+)", modules.read_text()):
        ground["river"] = number[1]
    for program in ("redis-server", "postgres", "temporal"):
        if path := found_program(program):
            said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if number := re.search(r"\d+(\.\d+)+", said):
                ground[program] = number[0]
    return ground


def found_program(name: str) -> str | None:
    """The path of a server program, or None. Debian installs PostgreSQL's outside of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name)
