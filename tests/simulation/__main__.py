"""`python -m tests.simulation`: simulated worlds from a seed, each judged, for a while.

Exit code 0: every promise held and everything was reached. 1: a promise was broken, or something
was never reached, or a known bug is found by no suite. 2: the known bugs could not be measured.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.coverage import Coverage
from tests.simulation.finding import MeasureError
from tests.simulation.measure import DEFAULT_SUITES, RUNS, measure
from tests.simulation.run import Result, run_world
from tests.simulation.shrink import shrink
from tests.simulation.unclean import run_unclean_world

#: Seconds of a run from which on something that was never reached fails it.
COVERING_S = 50.0
#: Seconds that the shrinker may take.
SHRINK_S = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="seconds of CPU time")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="decides every world"
    )
    parser.add_argument("--world", help="run only the world of this name, such as 7-12")
    parser.add_argument(
        "--unclean", action="store_true", help="worlds whose brokers lose records, without coverage"
    )
    parser.add_argument("--logs", action="store_true", help="with --world: print its warnings")
    parser.add_argument(
        "--known-bugs",
        nargs="?",
        const="",
        metavar="NAME",
        help="measure which suite finds the known bugs, all or those whose names contain NAME",
    )
    parser.add_argument(
        "--suite",
        action="append",
        choices=RUNS,
        help=f"with --known-bugs: measure only this suite, may be repeated; "
        f"by default {', '.join(DEFAULT_SUITES)}",
    )
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of texts depends on it.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *(arguments or sys.argv[1:])],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    if options.world:
        if options.logs:
            logging.basicConfig(format="%(name)s: %(message)s")
        run = run_unclean_world if options.unclean else run_world
        shrinks = not (options.logs or options.unclean)
        return _report(run(options.world, logs=options.logs), shrinks=shrinks)
    if options.known_bugs is not None:
        try:
            return _measure(options.seed, options.suite or DEFAULT_SUITES, options.known_bugs)
        except MeasureError as error:
            print(f"simulation: {error}", file=sys.stderr)
            return 2
    print(f"simulation: seed {options.seed}, {options.seconds:.0f} s", flush=True)
    number, coverage, total = 0, Coverage(), Result("")
    # CPU time, so that a busy machine makes no run smaller.
    begin, wall_begin = time.process_time(), time.monotonic()
    while time.process_time() - begin < options.seconds:
        name = f"{options.seed}-{number}"
        result = run_unclean_world(name) if options.unclean else run_world(name, coverage=coverage)
        number += 1
        total.simulated_s += result.simulated_s
        total.jobs += result.jobs
        total.faults += result.faults
        total.steps += result.steps
        if not result.held:
            return _report(result, shrinks=not options.unclean)
    print(
        f"{number} worlds, {total.simulated_s / 3600:.0f} simulated hours, {total.jobs} jobs, "
        f"{total.faults} faults, {total.steps} steps in {time.process_time() - begin:.0f} s "
        f"of CPU time ({time.monotonic() - wall_begin:.0f} s)"
    )
    missing = [] if options.unclean else coverage.missing()
    if missing:
        print(f"never reached under a fault: {', '.join(missing)}")
    return int(bool(missing) and options.seconds >= COVERING_S)


def _measure(seed: int, suites: Sequence[str], only: str) -> int:
    columns = ["bug", *RUNS]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    missed = 0
    for row in measure(seed, suites, only):
        print(row, flush=True)
        missed += not row.is_found
    return min(missed, 1)


def _report(result: Result, *, shrinks: bool = True) -> int:
    if result.held:
        print(f"world {result.seed}: every promise held; trace {result.trace:08x}")
        return 0
    print(f"world {result.seed} broke promises; trace {result.trace:08x}, {result.steps} steps")
    for name, found in result.breaches.items():
        print(f"  {name}: {len(found)}, such as {found[0]}")
    if not shrinks:
        return 1
    again = run_world(result.seed)
    same = (again.trace, again.steps) == (result.trace, result.steps)
    print(f"run again: {'the same steps' if same else 'OTHER STEPS, so it is not deterministic'}")
    shrunk = shrink(result.seed, set(result.breaches), SHRINK_S)
    print(f"shrunk to jobs {list(shrunk.jobs)} and the faults")
    for fault in shrunk.script:
        print(f"  {fault}")
    print(f"again: make simulate ARGS='--world {result.seed}'")
    return 1


if __name__ == "__main__":
    sys.exit(main())
