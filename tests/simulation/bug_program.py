"""Runs a program of the product with a known bug in it.

`python -m tests.simulation.bug_program "a backoff never ends" facade-0 fabric_jobs.facade`

`facade-0` is the name of the program, because a bug may differ from one replica to another. The
chaos suite starts its programs this way if it was given a bug.
"""

import sys
from importlib import import_module

from tests.simulation.known_bugs import installed_bug
from tests.simulation.loop import PLACE, Place


def main() -> int | None:
    """Runs the program; returns its exit code."""
    _, bug, name, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    PLACE.set(Place(name, 0))
    # All modules of the program are imported first, because the bug changes each that it concerns.
    program = import_module(f"{module}.__main__")
    with installed_bug(bug):
        code: int | None = program.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
