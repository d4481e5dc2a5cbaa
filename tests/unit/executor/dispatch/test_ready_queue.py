"""Which waiting attempt is claimed next: properties of the choice, and its cost."""

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_jobs.contract.dispatch_order import OVERDUE_AFTER, OrderKey, order_key
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.dispatch.ready_queue import HandlerKey, ReadyQueue, WaitingAttempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ("quick", "slow", "rare")
TENANTS = ("a", "b", "c", "d")


def waiting(
    number: int,
    *,
    job_type: str = "quick",
    tenant: str = "a",
    priority: int = 5,
    dispatched_at: datetime = NOW,
    payload: bytes = b"{}",
) -> WaitingAttempt:
    """Returns an attempt that waits. The number identifies its job and its record."""
    dispatched = DispatchedAttempt(
        job_id=f"job {number}",
        attempt=1,
        tenant_id=tenant,
        workspace_id="",
        item_type="Item",
        item_id="",
        job_type=job_type,
        invoke_type=InvokeType.MANUAL,
        definition=b"",
        payload=payload,
        activity_id=None,
        request_id=None,
        traceparent=None,
        earlier_traceparent=None,
        event_id=f"event {number}",
        partition=0,
        offset=number,
    )
    return WaitingAttempt(
        dispatched=dispatched,
        dispatched_at=dispatched_at,
        priority=priority,
        on_decided=lambda: None,
    )


def make_queue(*attempts: WaitingAttempt) -> ReadyQueue:
    """Returns a queue of these attempts."""
    queue = ReadyQueue(1000, 1_000_000)
    for attempt in attempts:
        queue.put(attempt)
    return queue


def take_all(queue: ReadyQueue, now: datetime = NOW) -> list[str]:
    """Takes every attempt. Returns the jobs in the order in which they start, and never end."""
    started = []
    while attempt := queue.take(now, lambda handler_key: True):
        queue.add_run(attempt.dispatched.tenant_id)
        started.append(attempt.dispatched.job_id)
    return started


class QueueAgainstSort:
    """A queue, and a model that sorts all waiting attempts by `order_key` for each choice."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._queue = ReadyQueue(30, 10**6)
        #: By number: the attempts that wait.
        self._model: dict[int, WaitingAttempt] = {}
        self._runs: Counter[str] = Counter()
        self._now = NOW
        self._number = 0

    def run(self, steps: int) -> None:
        """Does random steps, and compares the queue with the model after each of them."""
        actions = [self._put, self._take, self._end_run, self._remove, self._clear, self._wait]
        for action in self._random.choices(actions, [40, 35, 25, 4, 0.5, 0.5], k=steps):
            action()
            assert list(self._queue) == list(self._model.values())
            assert self._queue.is_full == (len(self._model) >= 30)

    def _put(self) -> None:
        """Puts an attempt that is a little older than now, also older than some that wait."""
        self._number += 1
        attempt = waiting(
            self._number,
            job_type=self._random.choice(TYPES),
            tenant=self._random.choice(TENANTS),
            priority=self._random.randint(1, 3),
            dispatched_at=self._now - timedelta(seconds=self._random.randint(0, 5)),
        )
        self._queue.put(attempt)
        self._model[self._number] = attempt

    def _wait(self) -> None:
        """Lets what waits become overdue."""
        self._now += OVERDUE_AFTER

    def _take(self) -> None:
        """Takes the next attempt of the types that have a slot."""
        free = set(self._random.sample(TYPES, self._random.randint(0, len(TYPES))))
        taken = self._queue.take(self._now, lambda handler_key: handler_key[1] in free)
        allowed = [n for n, each in self._model.items() if each.dispatched.job_type in free]
        if not allowed:
            assert taken is None
            return
        number = min(allowed, key=lambda each: (self._key(self._model[each]), each))
        assert taken is self._model.pop(number)
        self._queue.add_run(taken.dispatched.tenant_id)
        self._runs[taken.dispatched.tenant_id] += 1

    def _end_run(self) -> None:
        if running := list(self._runs.elements()):
            tenant = self._random.choice(running)
            self._runs[tenant] -= 1
            self._queue.remove_run(tenant)

    def _remove(self) -> None:
        """Removes an attempt that was started elsewhere."""
        if self._model:
            number = self._random.choice(list(self._model))
            assert self._queue.remove(f"event {number}") is self._model.pop(number)
            assert self._queue.remove(f"event {number}") is None

    def _clear(self) -> None:
        """Empties the queue, as a rebalance does."""
        assert self._queue.clear() == list(self._model.values())
        self._model.clear()

    def _key(self, attempt: WaitingAttempt) -> OrderKey:
        return order_key(
            dispatched_at=attempt.dispatched_at,
            priority=attempt.priority,
            tenant_runs=self._runs[attempt.dispatched.tenant_id],
            now=self._now,
        )


@pytest.mark.parametrize("seed", range(200))
def test_queue_takes_what_a_sort_by_the_order_of_the_contract_puts_first(seed: int) -> None:
    """This holds after any sequence of puts, takes, removals, ends of runs and rebalances."""
    QueueAgainstSort(seed).run(steps=150)


def test_queue_without_a_slot_for_the_oldest_takes_the_next_that_has_one() -> None:
    """A full type holds back no other type."""
    queue = make_queue(waiting(1, job_type="slow"), waiting(2))
    taken = queue.take(NOW, lambda handler_key: handler_key == ("Item", "quick"))

    assert taken is not None
    assert taken.dispatched.job_id == "job 2"
    assert len(queue) == 1


@given(st.lists(st.sampled_from(TENANTS), min_size=1, max_size=40))
def test_queue_gives_each_tenant_its_share_of_the_slots(tenants: list[str]) -> None:
    """While a tenant still waits, no other tenant has got more than one run more than it."""
    queue = make_queue(*(waiting(number, tenant=name) for number, name in enumerate(tenants)))
    left, started = Counter(tenants), Counter[str]()
    for job in take_all(queue):
        tenant = tenants[int(job.removeprefix("job "))]
        left[tenant] -= 1
        started[tenant] += 1
        waiting_runs = [started[name] for name in left if left[name]]
        assert max(started.values()) <= min(waiting_runs, default=len(tenants)) + 1


def test_queue_with_a_steady_flow_of_urgent_jobs_takes_a_low_priority_when_it_is_overdue() -> None:
    """Nothing starves: it waits for half of the start deadline, and then goes first."""
    queue = make_queue(waiting(0, priority=1, tenant="starved"))
    queue.add_run("starved")
    now, minutes = NOW, 0
    while True:
        queue.put(waiting(minutes + 1, priority=9, dispatched_at=now))
        taken = queue.take(now, lambda handler_key: True)
        assert taken
        if taken.dispatched.job_id == "job 0":
            break
        now, minutes = now + timedelta(minutes=1), minutes + 1

    assert timedelta(minutes=minutes) == OVERDUE_AFTER


def test_queue_is_full_at_either_bound_and_has_room_below_a_tenth_of_both() -> None:
    """The reader stops when it is full, and goes on when there is room."""
    queue = ReadyQueue(10, 100)
    for number in range(10):
        assert not queue.is_full
        queue.put(waiting(number))
    assert queue.is_full
    assert not queue.free_jobs
    queue.remove("event 3")
    assert queue.has_room
    queue.put(waiting(11, payload=b"x" * 82))
    queue.remove("event 4")
    assert not queue.is_full
    assert not queue.has_room
    queue.put(waiting(12, payload=b"x" * 2))
    queue.remove("event 5")
    queue.put(waiting(13, payload=b"x" * 2))
    queue.put(waiting(14, payload=b"x" * 4))
    assert queue.is_full


def steps_of(action: Callable[[], object]) -> int:
    """Returns the number of lines of Python that the action executes."""
    steps = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type] # typeshed wants a recursive type
    try:
        action()
    finally:
        sys.settrace(before)
    return steps


def test_choice_among_thousands_costs_about_what_a_choice_among_few_costs() -> None:
    """The cost depends on the types and the slots, not on how many attempts or tenants wait."""

    def steps_per_job(number: int) -> float:
        queue = ReadyQueue(10**6, 10**9)
        for each in range(number):
            queue.put(
                waiting(each, job_type=f"type {each % 10}", tenant=f"tenant {each * 7 % number}")
            )

        def run_some() -> None:
            held: list[str] = []
            for _ in range(100):
                taken = queue.take(NOW, has_slot)
                assert taken
                queue.add_run(taken.dispatched.tenant_id)
                held.append(taken.dispatched.tenant_id)
                if len(held) == 10:
                    queue.remove_run(held.pop(0))

        return steps_of(run_some) / 100

    def has_slot(handler_key: HandlerKey) -> bool:
        return handler_key[1] != "type 0"

    assert steps_per_job(8000) < 2 * steps_per_job(200)


def test_queue_with_one_attempt_that_never_has_a_slot_keeps_no_trace_of_the_others() -> None:
    """Its memory is bounded by what waits, however many attempts pass it."""
    queue = make_queue(waiting(0, job_type="quick", priority=1))
    for number in range(1, 3000):
        queue.put(waiting(number, priority=9))
        taken = queue.take(NOW, lambda handler_key: True)
        assert taken
        queue.add_run("a")
        queue.remove_run("a")

    (handler,) = queue._handlers.values()
    heaps = [handler._oldest, *(level.idle for level in handler.levels.values())]
    heaps += [heap for level in handler.levels.values() for heap in level.tenants.values()]
    assert sum(len(heap._items) for heap in heaps) < 300


def test_queue_of_many_attempts_that_were_dispatched_at_the_same_time_takes_each_of_them() -> None:
    """They start in the order in which they were read."""
    queue = make_queue(*map(waiting, range(200)))

    assert take_all(queue) == [f"job {number}" for number in range(200)]
