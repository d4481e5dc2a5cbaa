"""The attempts that this process has read and not claimed yet, and which of them is claimed next.

Rule 1: the next attempt is the one of the smallest `order_key` among the handlers with a free slot.
Rule 2: a choice does not look at every waiting attempt. It compares the few attempts that can be
the smallest of their handler: the oldest; and, of the highest priority, the oldest of a tenant that
runs nothing here, or else the oldest of each tenant that does.
Rule 3: the queue is bounded by its reader, which reads nothing while the queue is full.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush

from msgspec import Struct

from fabric_jobs.contract.dispatch_order import OrderKey, order_key
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt

HandlerKey = tuple[str, str]
#: A heap that has grown to this length is searched for attempts that no longer wait.
_MIN_LIMIT = 64


class WaitingAttempt(Struct, frozen=True, kw_only=True, eq=False):
    """An attempt that waits for a slot of this process."""

    dispatched: DispatchedAttempt
    #: When the attempt was dispatched, by the clock of the facade that dispatched it.
    dispatched_at: datetime
    priority: int
    #: Is called once the claim is granted or refused.
    on_decided: Callable[[], None]


#: An attempt in a heap: when it was dispatched, and its number in the order of reading.
_Item = tuple[datetime, int, WaitingAttempt]


class ReadyQueue:
    """The waiting attempts, and the number of runs of each tenant in this process."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        #: By the event id of the dispatching record.
        self._waiting: dict[str, _Item] = {}
        self._bytes = 0
        self._number = 0
        self._runs: Counter[str] = Counter()
        self._handlers: dict[HandlerKey, _HandlerQueue] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._waiting

    def __iter__(self) -> Iterator[WaitingAttempt]:
        """Yields the waiting attempts in the order in which they were put."""
        return (waiting for _, _, waiting in self._waiting.values())

    @property
    def free_jobs(self) -> int:
        """The number of further attempts that the queue takes before it is full, at least 0."""
        return 0 if self._bytes >= self._max_bytes else max(0, self._max_jobs - len(self))

    @property
    def is_full(self) -> bool:
        """True while attempts or payload bytes have reached their bound."""
        return not self.free_jobs

    @property
    def has_room(self) -> bool:
        """True if a tenth of both bounds is free. A reader that has paused goes on then."""
        return len(self) <= self._max_jobs * 0.9 and self._bytes <= self._max_bytes * 0.9

    def put(self, waiting: WaitingAttempt) -> None:
        """Adds an attempt. No attempt of its record may be in the queue."""
        dispatched = waiting.dispatched
        self._number += 1
        item = waiting.dispatched_at, self._number, waiting
        self._waiting[dispatched.event_id] = item
        self._bytes += dispatched.content_bytes
        queue = self._handlers.get(dispatched.handler_key)
        if queue is None:
            queue = _HandlerQueue(self._is_waiting, self._is_waiting_and_idle)
            self._handlers[dispatched.handler_key] = queue
        queue.push(item)

    def take(self, now: datetime, has_slot: Callable[[HandlerKey], bool]) -> WaitingAttempt | None:
        """Removes and returns the attempt to claim next. `None` if none of them has a slot."""
        found: tuple[OrderKey, int, WaitingAttempt] | None = None
        for handler_key, queue in self._handlers.items():
            if not queue.levels or not has_slot(handler_key):
                continue
            for dispatched_at, number, waiting in queue.candidates(self._runs):
                key = order_key(
                    dispatched_at=dispatched_at,
                    priority=waiting.priority,
                    tenant_runs=self._runs[waiting.dispatched.tenant_id],
                    now=now,
                )
                if found is None or (key, number) < found[:2]:
                    found = key, number, waiting
        return found and self.remove(found[2].dispatched.event_id)

    def remove(self, event_id: str) -> WaitingAttempt | None:
        """Removes and returns the attempt that this record dispatched. `None` if it is absent."""
        item = self._waiting.pop(event_id, None)
        if item is None:
            return None
        waiting = item[2]
        self._bytes -= waiting.dispatched.content_bytes
        self._handlers[waiting.dispatched.handler_key].forget(waiting)
        return waiting

    def clear(self) -> list[WaitingAttempt]:
        """Removes and returns every attempt."""
        removed = list(self)
        self._waiting.clear()
        self._handlers.clear()
        self._bytes = 0
        return removed

    def add_run(self, tenant_id: str) -> None:
        """Records that a run of this tenant has started in this process."""
        self._runs[tenant_id] += 1

    def remove_run(self, tenant_id: str) -> None:
        """Records that a run of this tenant has ended."""
        self._runs[tenant_id] -= 1
        if not self._runs[tenant_id]:
            del self._runs[tenant_id]
            for queue in self._handlers.values():
                queue.push_idle(tenant_id)

    def _is_waiting(self, item: _Item) -> bool:
        return self._waiting.get(item[2].dispatched.event_id) is item

    def _is_waiting_and_idle(self, item: _Item) -> bool:
        return self._is_waiting(item) and item[2].dispatched.tenant_id not in self._runs


class _Heap:
    """Items, of which the oldest is found at once. Items that are no longer valid are skipped."""

    def __init__(self, is_valid: Callable[[_Item], bool]) -> None:
        self._is_valid = is_valid
        self._items: list[_Item] = []
        self._limit = _MIN_LIMIT

    def push(self, item: _Item) -> None:
        heappush(self._items, item)
        if len(self._items) > self._limit:
            # Otherwise items that are not valid would stay for as long as an older one is valid.
            self._items = list(
                {item[1]: item for item in self._items if self._is_valid(item)}.values()
            )
            heapify(self._items)
            self._limit = max(_MIN_LIMIT, 2 * len(self._items))

    def first(self) -> _Item | None:
        while self._items and not self._is_valid(self._items[0]):
            heappop(self._items)
        return self._items[0] if self._items else None


class _Level:
    """The waiting attempts of one handler and one priority."""

    def __init__(self, is_waiting: Callable[[_Item], bool], is_idle: Callable[[_Item], bool]):
        self.tenants: defaultdict[str, _Heap] = defaultdict(lambda: _Heap(is_waiting))
        #: The oldest attempt of each tenant that runs nothing in this process.
        self.idle = _Heap(is_idle)

    def push(self, item: _Item) -> None:
        tenant = self.tenants[item[2].dispatched.tenant_id]
        tenant.push(item)
        if tenant.first() is item:
            self.idle.push(item)

    def push_idle(self, tenant_id: str) -> None:
        """Makes the oldest attempt of a tenant known as one of a tenant that runs nothing."""
        if tenant_id not in self.tenants:
            return
        if first := self.tenants[tenant_id].first():
            self.idle.push(first)
        else:
            del self.tenants[tenant_id]


class _HandlerQueue:
    """The waiting attempts of one handler."""

    def __init__(self, is_waiting: Callable[[_Item], bool], is_idle: Callable[[_Item], bool]):
        self._oldest = _Heap(is_waiting)
        #: By priority. A priority without waiting attempts is absent.
        self.levels: defaultdict[int, _Level] = defaultdict(lambda: _Level(is_waiting, is_idle))

    def push(self, item: _Item) -> None:
        self._oldest.push(item)
        self.levels[item[2].priority].push(item)

    def push_idle(self, tenant_id: str) -> None:
        """Makes the oldest attempts of a tenant known as those of a tenant that runs nothing."""
        for level in self.levels.values():
            level.push_idle(tenant_id)

    def forget(self, removed: WaitingAttempt) -> None:
        """Forgets an attempt that was removed from the queue."""
        level = self.levels[removed.priority]
        level.push_idle(removed.dispatched.tenant_id)
        if not level.tenants:
            del self.levels[removed.priority]

    def candidates(self, runs: Counter[str]) -> Iterator[_Item]:
        """Yields the attempts that can be next (rule 2). At least one attempt must wait."""
        level = self.levels[max(self.levels)]
        heaps = [self._oldest, level.idle]
        if not level.idle.first():
            heaps += [level.tenants[tenant] for tenant in runs if tenant in level.tenants]
        for heap in heaps:
            if first := heap.first():
                yield first
