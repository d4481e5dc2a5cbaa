"""`python -m tests.chaos`: run the chaos suite once, from a seed to a verdict.

Exit code 0: every promise held. 1: a promise was broken. 2: the run proved nothing.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.cluster import AssumptionError
from tests.chaos.failpoints import FAILPOINTS
from tests.chaos.report import Report, summary
from tests.chaos.run import Run
from tests.simulation.known_bugs import BUGS
from tests.support.apache_kafka import why_unavailable


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")


async def _run(run: Run) -> Report:
    task = asyncio.current_task()
    assert task
    # SIGTERM cancels the run as SIGINT does, so that the programs and brokers are stopped.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run.run()


def main() -> int:
    """Run the command; its exit code."""
    names = {one.name: one for one in FAILPOINTS}
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=600, help="how long traffic and faults last"
    )
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="decides jobs and faults"
    )
    parser.add_argument("--json", type=Path, help="the file to write the report to")
    parser.add_argument(
        "--failpoint",
        action="append",
        choices=names,
        help="inject only this fault; may be repeated",
    )
    parser.add_argument(
        "--known-bug",
        default="",
        choices=["", *BUGS],
        metavar="NAME",
        help="run the programs with this bug of tests/simulation/known_bugs.py",
    )
    options = parser.parse_args()
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: {options.json.parent} is no folder")
    if reason := why_unavailable():
        print(f"chaos: no Apache Kafka can run here: {reason}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fabric-jobs-chaos-"))
    print(f"chaos: seed {options.seed}, {options.seconds:.0f} s, in {folder}", flush=True)
    failpoints = [names[name] for name in options.failpoint or names]
    for failpoint in list(failpoints):
        if reason := failpoint.why_unavailable():
            print(f"chaos: no {failpoint.name}: {reason}", file=sys.stderr)
            failpoints.remove(failpoint)
            if "CI" in os.environ:
                return 2
    run = Run(folder, options.seed, options.seconds, failpoints, options.known_bug)
    try:
        report = asyncio.run(_run(run))
        figures = report.figures()
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"chaos: the run was stopped and proves nothing\nlogs: {folder}", file=sys.stderr)
        return 2
    except Exception as error:
        if not isinstance(error, AssumptionError):
            traceback.print_exc()
        print(
            f"chaos: the run failed and proves nothing: {error!r}\nlogs: {folder}", file=sys.stderr
        )
        proved_nothing = {"verdict": "proved nothing", "assumption": repr(error)}
        _write(options.json, {"seed": options.seed, "seconds": options.seconds} | proved_nothing)
        return 2
    _write(options.json, figures)
    if report.held:
        shutil.rmtree(folder)
    else:
        report.keep(folder, run.records)
        print(f"proof: {folder}")
    print(summary(figures))
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
