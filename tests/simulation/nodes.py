"""The nodes of a world: facades and executors, each the product's own program in its place."""

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from fabric_jobs.executor import service
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.replica import StateDamagedError, StateError, Store
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import composition
from tests.chaos.replicas import FILE
from tests.simulation import state_files
from tests.simulation.loop import PLACE, Place, SimulatedLoop, current_place
from tests.simulation.wall_clock import WallClock


class Node:
    """A program that can be started, stopped, paused and crashed."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.place: Place | None = None
        self.task: asyncio.Task[Any] | None = None
        #: It goes on through a restart.
        self.clock = WallClock()
        #: What the program ended with by itself.
        self.complaints: list[str] = []
        #: Called with each place whose program has ended by itself or was stopped.
        self.on_end: Callable[[Place], None] = lambda _: None
        self._stopping = False

    @property
    def is_running(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self) -> None:
        """Starts the program in a new place."""
        self._stopping = False
        self.place = Place(self.name, self.loop.next_number(), self.clock)
        context = copy_context()
        context.run(PLACE.set, self.place)
        self.task = self.loop.create_task(self.run(), context=context)
        on_end = partial(self._on_end, self.place)
        self.task.add_done_callback(on_end, context=self.loop.outside)

    async def run(self) -> None:
        """Runs the program."""
        raise NotImplementedError

    def request_stop(self) -> None:
        """Asks the program to stop in order."""
        self._stopping = True

    async def stop(self) -> None:
        """Stops the program in order, and waits for its end."""
        task = self.task
        self.request_stop()
        if task:
            await asyncio.wait([task])

    def _on_end(self, place: Place, task: asyncio.Task[Any]) -> None:
        if not place.alive:
            return
        self.on_end(place)
        if self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        self.loop.call_later(1.0, self._restart, task, context=self.loop.outside)
        if self.is_expected(error):
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        where = traceback.extract_tb(error.__traceback__)[-3:] if error else ()
        self.complaints.append(
            f"{self.name} ended by itself at {self.loop.time():.3f} s: {error!r} "
            f"{[f'{frame.name}:{frame.lineno}' for frame in where]}"
        )

    def is_expected(self, error: BaseException | None) -> bool:
        """Returns whether a fault explains that the program ended by itself with this error."""
        return False

    def _restart(self, task: asyncio.Task[Any]) -> None:
        if self.task is task and not self._stopping:
            self.start()


class FacadeNode(Node):
    """A facade."""

    def __init__(
        self, loop: SimulatedLoop, number: int, state_dir: Path | None, **settings: Any
    ) -> None:
        super().__init__(loop, f"facade-{number}")
        self.http_address = f"127.0.0.1:{5000 + 10 * number}"
        self.grpc_address = f"127.0.0.1:{5001 + 10 * number}"
        self.state_dir = state_dir
        self._settings = settings

    async def run(self) -> None:
        """Runs the facade until it is cancelled."""
        settings = FacadeSettings(
            http_address=self.http_address,
            grpc_address=self.grpc_address,
            authentication="off",
            state_dir=self.state_dir,
            **self._settings,
        )
        await composition.serve(settings)

    def request_stop(self) -> None:
        if self.task and not self._stopping:  # a second cancel would cut the stop short
            self.task.cancel()
        super().request_stop()

    @property
    def state_file(self) -> Path | None:
        """The path of the state file; None if the state is kept in memory."""
        return self.state_dir / FILE if self.state_dir else None

    def is_expected(self, error: BaseException | None) -> bool:
        """Returns whether the facade ended because its disk was full."""
        if isinstance(error, BaseExceptionGroup):
            return all(self.is_expected(one) for one in error.exceptions)
        is_of_disk = isinstance(error, StateError) and not isinstance(error, StateDamagedError)
        return is_of_disk and self.state_file in state_files.WORLD.full

    def delete_file(self) -> None:
        """Deletes the state."""
        if self.state_file:
            state_files.end_damage(self.state_file)
        for file in self.state_dir.glob("*") if self.state_dir else ():
            file.unlink()


class ExecutorNode(Node):
    """An executor."""

    def __init__(
        self, loop: SimulatedLoop, number: int, facades: list[str], handlers: Any, **settings: Any
    ) -> None:
        super().__init__(loop, f"executor-{number}")
        self._facades = facades
        self._handlers = handlers
        self._settings = settings
        self._stop = asyncio.Event()
        #: The executor's id in each of its places, by the place's number.
        self.ids: dict[int, str] = {}

    async def run(self) -> None:
        """Runs the executor until `request_stop`."""
        self._stop = asyncio.Event()
        place = current_place()
        settings = ExecutorSettings(facades=",".join(self._facades), **self._settings)

        def on_ready(executor_id: str) -> None:
            self.ids[place.number] = executor_id

        await service.serve(self._handlers, None, settings, stop=self._stop, on_ready=on_ready)

    def request_stop(self) -> None:
        super().request_stop()
        if self.place and self.place.paused:
            self.loop.resume(self.place)
        self._stop.set()


class WriterThread:
    """Stands for the thread that writes rows: what it is given is done after a while, in order.

    After a crash, what was not done is lost, as with the process.
    """

    dice: Random

    def __init__(self, *_: object) -> None:
        #: None for the judge's own fold, after the end of the world.
        self._loop = asyncio.get_running_loop() if PLACE.get() else None
        self._work: list[Callable[[], None]] = []

    def submit(self, function: Callable[..., Any], *args: Any) -> "_WorkFuture":
        future = _WorkFuture(self)

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._work.append(work)
        if self._loop:
            self._loop.call_later(self.dice.uniform(0.0, 0.05), self._do_next)
        return future

    def shutdown(self) -> None:
        """Does all that is left."""
        while self._work:
            self._do_next()

    def _do_next(self) -> None:
        if self._work:
            self._work.pop(0)()


class _WorkFuture(Future[Any]):
    """A future whose result can be waited for by doing the work."""

    def __init__(self, thread: WriterThread) -> None:
        super().__init__()
        self._thread = thread

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self._thread._do_next()
        return super().result(timeout)


class RecordedStore(Store):
    """A store that a crash of its node can close without writing."""

    by_place: ClassVar[dict[int, list["RecordedStore"]]] = {}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.by_place.setdefault(current_place().number, []).append(self)

    def crash(self) -> None:
        """Releases the file; what was not written is lost."""
        self._db.close()
