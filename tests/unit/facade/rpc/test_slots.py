"""The estimate of an executor's free slots between its heartbeats."""

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.rpc.held_runs import HeldRuns, SlotJob
from fabric_jobs.facade.rpc.slots import MAX_ENDED, OFFER_TIMEOUT_S, FreeSlots
from fabric_jobs.status.v1 import job_status_pb2 as pb

SLOW, QUICK = JobKind("Item", "slow"), JobKind("Item", "quick")
SLOW_JOB, QUICK_JOB = SlotJob(SLOW, "tenant"), SlotJob(QUICK, "tenant")
HELLO = pb.Hello(
    slots=3,
    job_types=[
        pb.JobType(item_type="Item", job_type="slow", slots=1),
        pb.JobType(item_type="Item", job_type="quick"),
    ],
)
FIRST, SECOND, THIRD = ("first", 1), ("second", 1), ("third", 1)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


def idle_executor(clock: Clock | None = None) -> FreeSlots:
    """An executor of three slots that has said that all are free."""
    slots = FreeSlots(HELLO, clock or Clock())
    slots.beat(pb.Heartbeat(free_slots=3), {}, [])
    slots.idle()
    return slots


def test_executor_before_its_first_heartbeat_has_no_free_slot() -> None:
    """It may have come back with runs that it holds."""
    slots = FreeSlots(HELLO, Clock())

    assert slots.count == 0
    assert not slots.has_room(QUICK)


def test_slot_is_free_as_soon_as_the_final_report_is_decided() -> None:
    """No heartbeat is needed. A claim takes the slot, and a grant keeps it."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    slots.grant(FIRST, QUICK_JOB)
    assert (slots.count, slots.undecided) == (2, 0)

    slots.free(FIRST)

    assert slots.count == 3


def test_slot_is_free_as_soon_as_the_claim_is_refused() -> None:
    """Another executor had the attempt."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    assert (slots.count, slots.undecided) == (2, 1)

    slots.free(FIRST)

    assert (slots.count, slots.undecided) == (3, 0)


def test_offer_and_its_claim_take_one_slot() -> None:
    """The claim of an offered attempt takes no second one."""
    slots = idle_executor()
    slots.offer(FIRST, QUICK_JOB)
    slots.claim(FIRST, QUICK_JOB)

    assert slots.count == 2
    assert slots.holds(FIRST)


def test_kind_with_a_bound_has_room_for_that_many_runs() -> None:
    """The bound of `slow` is 1; the executor's own three slots bound `quick`."""
    slots = idle_executor()
    slots.claim(FIRST, SLOW_JOB)
    assert (slots.has_room(SLOW), slots.has_room(QUICK)) == (False, True)

    slots.free(FIRST)
    assert slots.has_room(SLOW)


def test_offer_without_a_claim_ends_and_its_kind_has_no_room_until_the_next_heartbeat() -> None:
    """The executor knew better. Other kinds keep their room."""
    clock = Clock()
    slots = idle_executor(clock)
    slots.offer(FIRST, QUICK_JOB)
    clock.now = OFFER_TIMEOUT_S
    slots.idle()

    assert not slots.holds(FIRST)
    assert (slots.has_room(QUICK), slots.has_room(SLOW)) == (False, True)
    slots.beat(pb.Heartbeat(free_slots=3), {}, [])
    assert slots.has_room(QUICK)


def test_idle_counts_slots_that_were_free_ever_since_the_last_call() -> None:
    """A slot that the executor filled in between, or that was just freed, does not count."""
    slots = idle_executor()
    assert slots.idle() == 3
    slots.claim(FIRST, QUICK_JOB)
    slots.free(FIRST)
    assert slots.count == 3
    assert slots.idle() == 2
    assert slots.idle() == 3


def test_heartbeat_that_lists_a_run_whose_report_is_decided_frees_its_slot() -> None:
    """The executor wrote the heartbeat before it had the answer."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    slots.grant(FIRST, QUICK_JOB)
    slots.free(FIRST)
    slots.beat(pb.Heartbeat(free_slots=2), {FIRST: QUICK_JOB}, [])

    assert slots.count == 3


def test_heartbeat_keeps_the_slot_of_an_offer_that_the_executor_has_not_read_yet() -> None:
    """The offer is not in the heartbeat."""
    slots = idle_executor()
    slots.offer(FIRST, QUICK_JOB)
    slots.beat(pb.Heartbeat(free_slots=2), {SECOND: QUICK_JOB}, [])

    assert slots.count == 1
    slots.claim(THIRD, QUICK_JOB)
    assert slots.count == 0


def test_run_that_takes_no_slot_is_not_noted_when_it_is_freed() -> None:
    """An executor may report any number of runs that it never had."""
    slots = idle_executor()
    slots.free(FIRST)
    slots.beat(pb.Heartbeat(free_slots=2), {FIRST: QUICK_JOB}, [])

    assert slots.count == 2


def test_ended_runs_beyond_the_bound_are_forgotten_oldest_first() -> None:
    """An executor that sends no heartbeat may have any number of claims refused."""
    slots = idle_executor()
    for number in range(MAX_ENDED + 1):
        slots.claim(("run", number), QUICK_JOB)
        slots.free(("run", number))
    listed = {("run", number): QUICK_JOB for number in (0, 1, MAX_ENDED)}
    slots.beat(pb.Heartbeat(free_slots=0), listed, [])

    assert slots.holds(("run", 0))
    assert not slots.holds(("run", 1))
    assert not slots.holds(("run", MAX_ENDED))


def test_claim_that_could_not_be_decided_takes_no_slot_until_the_executor_repeats_it() -> None:
    """An executor without heartbeats may send any number of such claims."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    slots.withdraw(FIRST)
    assert (slots.count, slots.undecided) == (3, 0)

    slots.claim(FIRST, QUICK_JOB)
    assert (slots.count, slots.undecided) == (2, 1)


def test_heartbeat_without_a_claim_ends_its_wait() -> None:
    """The executor lists each claim that it awaits."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    slots.claim(SECOND, QUICK_JOB)
    slots.beat(pb.Heartbeat(free_slots=2), {SECOND: QUICK_JOB}, [])

    assert slots.undecided == 1


def test_held_runs_counts_follow_each_change_and_keep_no_zero() -> None:
    """The counts are read in each round of offers, and never recounted."""
    held = HeldRuns({FIRST: QUICK_JOB, SECOND: None})
    assert (held.by_kind, held.by_tenant) == ({QUICK: 1}, {"tenant": 1})

    held.set(SECOND, SlotJob(SLOW, "other"))
    held.set(SECOND, SLOW_JOB)
    assert (held.by_kind, held.by_tenant) == ({QUICK: 1, SLOW: 1}, {"tenant": 2})

    assert held.remove(SECOND) == SLOW_JOB
    assert held.remove(SECOND) is None
    held.set(FIRST, None)
    assert (dict(held.by_kind), dict(held.by_tenant), len(held)) == ({}, {}, 1)


def test_draining_executor_has_no_free_slot_when_a_run_ends() -> None:
    """It says that no slot is free, and holds fewer runs than it has slots."""
    slots = idle_executor()
    slots.beat(pb.Heartbeat(free_slots=0), {FIRST: QUICK_JOB}, [])
    slots.free(FIRST)

    assert slots.count == 0


def test_heartbeat_s_full_kinds_have_no_room_until_a_run_of_theirs_ends() -> None:
    """An executor need not name the bounds of its kinds in its hello."""
    slots = idle_executor()
    slots.beat(pb.Heartbeat(free_slots=2), {FIRST: QUICK_JOB}, [QUICK])
    assert not slots.has_room(QUICK)

    slots.free(FIRST)
    assert slots.has_room(QUICK)


def test_tenant_runs_count_every_slot_that_is_taken() -> None:
    """Runs, claims and offers alike; a job that this replica does not know yet has no tenant."""
    slots = idle_executor()
    slots.beat(pb.Heartbeat(free_slots=2), {FIRST: SlotJob(QUICK, "a")}, [])
    slots.claim(SECOND, SlotJob(QUICK, "b"))
    slots.offer(THIRD, SlotJob(SLOW, "a"))
    assert slots.tenant_runs == {"a": 2, "b": 1}

    slots.free(FIRST)
    slots.claim(SECOND, None)
    assert slots.tenant_runs == {"a": 1}


def test_grant_names_the_job_of_a_run_that_was_not_known_at_its_claim() -> None:
    """The executor may have read the job's record before this replica."""
    slots = idle_executor()
    slots.claim(FIRST, None)
    assert slots.has_room(SLOW)

    slots.grant(FIRST, SLOW_JOB)
    assert not slots.has_room(SLOW)
    assert slots.tenant_runs == {"tenant": 1}


def test_grant_of_a_run_that_has_ended_takes_no_slot() -> None:
    """An executor may report the end of a run before the answer to an earlier claim of it."""
    slots = idle_executor()
    slots.claim(FIRST, QUICK_JOB)
    slots.free(FIRST)
    slots.grant(FIRST, QUICK_JOB)

    assert (slots.count, slots.undecided) == (3, 0)
