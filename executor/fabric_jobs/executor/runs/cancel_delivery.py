"""Cancels a task until its coroutine has received the cancel.

A cancel can be lost: `asyncio.wait_for` of Python 3.11 returns its result instead of raising
`CancelledError`, if both come at the same time (https://github.com/python/cpython/issues/86296). A
lost cancel is repeated. A cancel that was received is not, so a handler can clean up in peace.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import FrameType
from typing import Any


class CancelDelivery:
    """Runs one coroutine in a task, and cancels it."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Starts the task. It must be created in the event loop."""
        #: True from the request until the coroutine has received the `CancelledError`.
        self._is_due = False
        self._coroutine = coroutine
        watched = _Watched(coroutine, self)
        self.task: asyncio.Task[None] = asyncio.create_task(watched, name=name)
        # The task holds the exception of the coroutine, and so the variables of its frames. In a
        # reference cycle they would stay in memory until the garbage collector runs.
        self.task.add_done_callback(lambda _: watched.forget_delivery())

    def cancel(self) -> None:
        """Cancels the task. A further call cancels it again."""
        self._is_due = True
        self.task.cancel()

    def stack(self) -> list[tuple[FrameType, int]]:
        """Returns the frames and lines in which the coroutine waits, the outermost first."""
        return [(one.cr_frame, one.cr_frame.f_lineno) for one in _await_chain(self._coroutine)]

    @property
    def is_due(self) -> bool:
        """True while the coroutine has not received a requested cancel."""
        return self._is_due

    def on_received(self) -> None:
        """Notes that the coroutine receives the cancel, so it is not repeated."""
        self._is_due = False

    def on_missed(self) -> None:
        """Repeats the cancel, if one is due, after the coroutine got the result that it awaited."""
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._repeat)

    def _repeat(self) -> None:
        if self._is_due and not self.task.done():
            self.task.cancel()


class _Watched(Coroutine[Any, Any, None]):
    """A coroutine that tells the delivery about each of its steps."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], delivery: CancelDelivery) -> None:
        self._coroutine = coroutine
        self._delivery = delivery

    def forget_delivery(self) -> None:
        """Breaks the reference cycle of the delivery, its task and this ended coroutine."""
        del self._delivery

    def send(self, value: Any) -> Any:
        self._delivery.on_missed()
        return self._coroutine.send(value)

    def throw(self, error: Any, *rest: Any) -> Any:
        if not (self._delivery.is_due and isinstance(error, asyncio.CancelledError)):
            return self._coroutine.throw(error, *rest)
        future = _awaited_by_wait_for(self._coroutine)
        if future is None or not future.done():
            self._delivery.on_received()
            return self._coroutine.throw(error, *rest)
        waits_for = self._coroutine.throw(error, *rest)
        # `wait_for` has swallowed the error. If the coroutine is in another `wait_for` now, it gets
        # the cancel here: that one, too, may have its result by the next turn of the loop.
        future = _awaited_by_wait_for(self._coroutine)
        if future is None or future.done():
            self._delivery.on_missed()
            return waits_for
        self._delivery.on_received()
        return self._coroutine.throw(asyncio.CancelledError())

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError  # a task calls the methods above


def _await_chain(coroutine: Any) -> list[Any]:
    """Returns the coroutine, the coroutine for which it waits, and so on."""
    chain = []
    while getattr(coroutine, "cr_frame", None) is not None:
        chain.append(coroutine)
        coroutine = coroutine.cr_await
    return chain


def _awaited_by_wait_for(coroutine: Any) -> "asyncio.Future[Any] | None":
    """Returns the future that a coroutine awaits with `asyncio.wait_for` now, or `None`.

    Only Python 3.11 has this variable. Later versions lose no cancel.
    """
    chain = _await_chain(coroutine)
    if not chain or chain[-1].cr_code is not asyncio.wait_for.__code__:
        return None
    future = chain[-1].cr_frame.f_locals.get("fut")
    return future if isinstance(future, asyncio.Future) else None
