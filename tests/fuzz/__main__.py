"""`python -m tests.fuzz`: one run of fuzzing, from a seed to its findings.

Exit code 0 if nothing was found, 1 if something was, 2 if the programs can't run here.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import DOORS, Finding, fuzz, replay
from tests.support.apache_kafka import why_unavailable


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of inputs")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--door", action="append", choices=DOORS, help="only this door; may be repeated"
    )
    parser.add_argument("--replay", type=Path, help="send the inputs of this folder instead")
    options = parser.parse_args()
    if reason := why_unavailable():
        print(f"fuzz: no Apache Kafka can run here: {reason}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fabric-jobs-fuzz-"))
    print(f"fuzz: seed {options.seed}, {options.seconds:.0f} s, in {folder}", flush=True)
    found: list[Finding]
    if options.replay:
        found = asyncio.run(replay(folder, options.replay))
    else:
        found = asyncio.run(fuzz(folder, options.seed, options.seconds, options.door))
    for number, one in enumerate(found, 1):
        path = folder / f"finding-{number}.json"
        one.write(path)
        print(f"{one.door} {one.seed}:{one.number}: {one.what}\n  {one.data[:160]!r}\n  {path}")
    print(f"fuzz: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
