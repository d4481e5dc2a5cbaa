"""For how long a slot was idle while a job waited that the slot could run."""

from bench.figures.mixed import IDLE_NS, Request, Run, Slots, idle_slot_ns
from bench.handlers import QUICK, SLOW

S = 1_000_000_000
ONE, TWO = 1, 2
SLOTS = Slots(2, 1)


def requested(*seconds: float) -> list[Request]:
    """Returns one request for each of these times of acceptance."""
    return [Request(0, round(at * S)) for at in seconds]


def run(number: int, job_type: str, executor: int, begun: float, ended: float) -> Run:
    """Returns a run with its times in seconds."""
    return Run(number, job_type, executor, round(begun * S), round(ended * S))


def test_job_that_waits_beside_a_free_slot_makes_the_slot_idle() -> None:
    """The time counts from the job's acceptance, if it is long enough."""
    requests = requested(1, 5, 9)
    at_once = 9 + IDLE_NS / S / 2
    runs = [run(0, QUICK, ONE, 3, 4), run(1, QUICK, ONE, 5, 6), run(2, QUICK, ONE, at_once, 10)]
    assert idle_slot_ns(requests, runs, [ONE], SLOTS) == 2 * S


def test_job_that_waits_for_a_full_executor_or_a_full_type_makes_no_slot_idle() -> None:
    """A slow job waits for the slot of its type, and a quick job for any slot."""
    requests = requested(0, 0, 0, 1)
    runs = [
        run(0, SLOW, ONE, 0, 5),
        run(1, SLOW, ONE, 5, 9),
        run(2, QUICK, ONE, 0, 4),
        run(3, QUICK, ONE, 4, 6),
    ]
    assert idle_slot_ns(requests, runs, [ONE], SLOTS) == 0


def test_times_in_which_several_slots_are_idle_count_once() -> None:
    """Also if they overlap, and if the free slot belongs to another executor."""
    requests = requested(0, 0, 0)
    runs = [run(0, SLOW, ONE, 0, 5), run(1, SLOW, ONE, 5, 6), run(2, QUICK, ONE, 2, 3)]
    assert idle_slot_ns(requests, runs, [ONE], SLOTS) == 2 * S
    assert idle_slot_ns(requests, runs, [ONE, TWO], SLOTS) == 5 * S
