"""An event loop whose time is virtual, and which chooses by a seed whose callback runs next.

Each callback belongs to the node in whose context it was scheduled. The callbacks of one node run
in their order, as asyncio promises; the choice is among the nodes. When no callback is ready, the
time jumps to the next timer.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

from tests.simulation.wall_clock import WallClock

#: Callbacks that run before `run_forever` looks whether the loop was stopped.
STEPS = 256
#: The seconds that a callback takes. Without them, a loop of callbacks would end time.
STEP_S = 1e-6


class Place:
    """Where callbacks run: one life of a node, from its start to its crash or its end."""

    def __init__(self, name: str, number: int, clock: WallClock | None = None) -> None:
        self.name = name
        self.number = number
        self.clock = clock or WallClock()
        #: False after a crash: no callback of this place runs any more.
        self.alive = True
        #: True while the node is stopped, as by SIGSTOP: its callbacks wait.
        self.paused = False


#: The place of the running callback. `None` is the world outside of the nodes.
PLACE: ContextVar[Place | None] = ContextVar("place", default=None)


def current_place() -> Place:
    """Returns the place of the running callback, which belongs to a node or a client."""
    place = PLACE.get()
    assert place is not None
    return place


class StuckError(Exception):
    """Nothing is ready and no timer is set, so time can't go on."""


class _Task(asyncio.Task[Any]):
    """A task whose hash is a number in the order of creation, so that sets have one order."""

    def __init__(self, coro: Any, *, loop: "SimulatedLoop", **arguments: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, **arguments)
        self._log_destroy_pending = False
        loop.tasks.append(self)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    """A future whose hash is a number in the order of creation."""

    def __init__(self, *, loop: "SimulatedLoop") -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """The event loop of one simulated world."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice = dice
        self._now = 0.0
        self._queues: dict[Place | None, deque[asyncio.Handle]] = {}
        self._active: list[Place | None] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._numbers = count(1)
        #: Every task of the world; `close_tasks` ends those that are left.
        self.tasks: list[asyncio.Task[Any]] = []
        #: Seconds by which timers may be late: a coarse world runs fewer steps for the same time.
        self.grain_s = 0.0
        self.steps = 0
        #: A hash of every step so far: two runs with equal hashes took the same steps.
        self.trace = 0
        #: What callbacks and tasks raised that nobody handled.
        self.defects: list[str] = []
        #: The context of callbacks that belong to no node.
        self.outside = Context()
        self.set_task_factory(self._make_task)  # type: ignore[arg-type] # a protocol of typeshed's
        self.set_exception_handler(self._note_defect)

    def next_number(self) -> int:
        """Returns a number that is larger than all before."""
        return next(self._numbers)

    def time(self) -> float:
        """Returns the virtual time in seconds since the world began."""
        return self._now

    def mark(self, *facts: object) -> None:
        """Makes facts part of the trace."""
        self.trace = crc32(repr(facts).encode(), self.trace)

    def create_future(self) -> asyncio.Future[Any]:
        """Returns a future whose hash is its number."""
        return _Future(loop=self)

    def call_soon(  # type: ignore[override] # the same, with fewer type variables
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedules a callback behind those of its place."""
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment] # as above

    def call_later(  # type: ignore[override] # the same, with fewer type variables
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedules a callback after a delay in seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # the same, with fewer type variables
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedules a callback at a virtual time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        setattr(timer, "_scheduled", True)  # noqa: B010 - unknown to mypy
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def run_in_executor(  # type: ignore[override] # the same, with fewer type variables
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Runs the function at once, and returns its result a moment later."""
        future = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            self.call_later(0.001, fail, future, error)
        else:
            self.call_later(0.001, resolve, future, result)
        return future

    def resume(self, place: Place) -> None:
        """Lets a paused place go on."""
        place.paused = False
        if self._queues.get(place) and place not in self._active:
            self._active.append(place)

    def pause(self, place: Place) -> None:
        """Stops a place until `resume`."""
        place.paused = True
        if place in self._active:
            self._active.remove(place)

    def bury(self, place: Place) -> None:
        """Drops every callback of a place that has crashed."""
        place.alive = False
        self._queues.pop(place, None)
        if place in self._active:
            self._active.remove(place)

    def close_tasks(self) -> None:
        """Ends the coroutines of all tasks that are left, so that none is destroyed while open."""
        for task in self.tasks:
            if not task.done():
                _close(task.get_coro())
        self.tasks.clear()
        self._timers.clear()
        self._queues.clear()
        self._active.clear()

    def _enqueue(self, handle: asyncio.Handle) -> None:
        place = handle._context.get(PLACE)  # type: ignore[attr-defined] # no public way
        if place is not None and not place.alive:
            return
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
        if not queue and not (place is not None and place.paused):
            self._active.append(place)
        queue.append(handle)

    def _run_once(self) -> None:
        self._fire_timers()  # also while callbacks never let the loop wait
        for _ in range(STEPS):
            if self._stopping:  # type: ignore[attr-defined] # no public way
                return
            active = self._active
            if not active:
                self._advance()
                continue
            index = int(self._dice.random() * len(active)) if len(active) > 1 else 0
            place = active[index]
            queue = self._queues[place]
            handle = queue.popleft()
            if not queue:
                active[index] = active[-1]
                active.pop()
            if not handle._cancelled:  # no public way
                self.steps += 1
                self._now += STEP_S
                number = place.number if place else 0
                self.trace = crc32(struct.pack("<dI", self._now, number), self.trace)
                handle._run()  # no public way
        handle = None  # type: ignore[assignment] # refers to the last callback

    def _advance(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not timers:
            raise StuckError("no callback is ready, and no timer is set")
        self._now = max(self._now, timers[0][0]) + self.grain_s * self._dice.random() + STEP_S
        self._fire_timers()

    def _fire_timers(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            timer = heappop(timers)[2]
            setattr(timer, "_scheduled", False)  # noqa: B010 - unknown to mypy
            if not timer.cancelled():
                self._enqueue(timer)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > 200 and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [one for one in self._timers if not one[2].cancelled()]
            heapify(self._timers)
            self._cancelled_timers = 0

    def _make_task(
        self, loop: Any, coro: Coroutine[Any, Any, Any], **arguments: Any
    ) -> asyncio.Task[Any]:
        return _Task(coro, loop=self, **arguments)

    def _note_defect(self, loop: Any, context: dict[str, Any]) -> None:
        if error := context.get("exception"):
            self.defects.append(f"{context.get('message')}: {error!r}")

    def _write_to_self(self) -> None: ...

    def _process_events(self, event_list: Any) -> None: ...


def resolve(future: asyncio.Future[Any], result: object) -> None:
    """Sets the result, unless the future is done."""
    if not future.done():
        future.set_result(result)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Sets the error, unless the future is done."""
    if not future.done():
        future.set_exception(error)


def _close(coro: Any) -> None:
    for _ in range(200):
        try:
            coro.close()
        except BaseException:
            continue
        return
