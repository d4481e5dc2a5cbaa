"""Runs the chaos suite with a bug in each program that it starts."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from tests.simulation.finding import ENDLESS, Finding, MeasureError

#: Seconds of traffic and faults.
CHAOS_S = 25
#: Seconds that a whole run may take. A program that never becomes ready would delay it for ever.
LIMIT_S = 420
#: Seconds after SIGTERM in which the suite stops its programs and brokers.
STOP_S = 60


def run_chaos(name: str, seed: int) -> Finding:
    """Runs the chaos suite once; without a name, with no bug.

    The finding names the kinds of breaches, and has the seconds of the run, by the machine's clock.
    Raises `MeasureError` if the run proved nothing.
    """
    with TemporaryDirectory(prefix="fabric-jobs-known-bug-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "tests.chaos", "--known-bug", name]
        command += ["--seed", str(seed), "--seconds", str(CHAOS_S), "--json", str(report)]
        begin = time.monotonic()
        ended, output = _run_within_limit(command, os.environ | {"TMPDIR": folder})
        seconds = time.monotonic() - begin
        if not ended:
            return Finding(ENDLESS, seconds)
        figures: dict[str, Any] = (
            msgspec.json.decode(report.read_bytes()) if report.exists() else {}
        )
        if figures.get("verdict") not in ("held", "broken"):
            raise MeasureError(f"the chaos suite with the bug {name!r} proved nothing:\n{output}")
        return Finding(", ".join(f"`{one}`" for one in sorted(figures["breaches"])), seconds)


def _run_within_limit(command: list[str], environment: dict[str, str]) -> tuple[bool, str]:
    """Returns whether the command ended within its limit, and its output."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            return True, process.communicate(timeout=LIMIT_S)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            return False, process.communicate(timeout=STOP_S)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise MeasureError(f"{' '.join(command)} did not end at SIGTERM") from None
