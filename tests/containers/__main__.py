"""The image, compose.yaml and the template project on a real container engine: `make containers`.

`engine.sh` starts this program in the engine's network. Each step prints how long it took; the
first that fails ends the run.
"""

import sys
import time
from collections.abc import Callable

from tests.containers import image, python, split, stack, template

STEPS: list[Callable[[], str]] = [
    image.build,
    image.inspect,
    image.run_read_only,
    image.stop_at_once,
    stack.up,
    stack.up_again,
    stack.kill_facade_under_load,
    stack.stop_facade_under_load,
    stack.kill_proxy,
    split.split_paths,
    stack.down_and_up,
    stack.restart,
    stack.remove,
    stack.kill_broker_of_three,
    stack.observe,
    stack.remove,
    template.run_project,
    python.unit_tests,
]


def main(wanted: list[str]) -> int:
    """Runs the steps of these names, or all: the exit code."""
    began = time.monotonic()
    for step in STEPS:
        name = f"{step.__module__.rpartition('.')[2]}.{step.__name__}"
        if wanted and not any(name.startswith(prefix) for prefix in wanted):
            continue
        started = time.monotonic()
        try:
            said = step()
        except Exception as error:
            print(f"FAILED {name}: {error}", flush=True)
            raise
        print(f"{time.monotonic() - started:6.1f} s  {name}: {said}", flush=True)
    print(f"{time.monotonic() - began:6.1f} s  in all", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
