"""A simulated world takes the same steps in each process, wherever its objects are in memory."""

import os
import subprocess
import sys
from pathlib import Path

#: Runs a world, after it has filled the memory in a way that its argument decides.
PROGRAM = """
import gc
import sys
from random import Random

from tests.simulation.faults import UNCLEAN, Fault
from tests.simulation.run import run_world
from tests.simulation.world import Shape

dice = Random(sys.argv[1])
filling = [bytearray(dice.randrange(1000)) for _ in range(dice.randrange(20_000))]
dice.shuffle(filling)
del filling[::3]
gc.set_threshold(dice.randrange(1, 2000), dice.randrange(1, 20))

shape = Shape(
    facades=3,
    executors=2,
    partitions=1,
    slots=3,
    read_ahead=5,
    max_pending=3,
    keeps_files=True,
    seconds=8.0,
    jobs=10,
)
faults = ["misfortune", UNCLEAN, "offset out of range", "stop", UNCLEAN, "crash of facade", UNCLEAN]
script = [Fault(2.0 + at / 2, name, 1.0, 6) for at, name in enumerate(faults)]
result = run_world("repetition-1", shape=shape, script=script)
print(result.steps, result.trace)
"""
ROOT = Path(__file__).parents[3]


def test_run_world_in_processes_with_different_memory_takes_the_same_steps() -> None:
    """Nothing depends on addresses, such as the order of a set of objects without a hash."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, layout],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for layout in ("one", "another")
    ]
    outputs = [process.communicate()[0] for process in processes]

    assert all(process.returncode == 0 for process in processes)
    assert outputs[0]
    assert outputs[0] == outputs[1]
