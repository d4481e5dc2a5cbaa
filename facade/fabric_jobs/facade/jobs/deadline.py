"""The time limit of commands. One timer serves all of them.

`asyncio.timeout` sets a timer for each command, which is a tenth of what a command costs beside
Kafka.
"""

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """Makes time limits of the same length; each behaves as `asyncio.timeout` does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        #: The loop's time at which each block in progress is late, the earliest first.
        self._late_at: dict[Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "Limit":
        """A time limit for one `with` block: when it is late, its await raises `TimeoutError`."""
        return Limit(self)

    def begin(self, limit: "Limit") -> None:
        """Starts the time of a block that is entered."""
        loop = asyncio.get_running_loop()
        late_at = self._late_at[limit] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(late_at, self._end_late)

    def end(self, limit: "Limit") -> None:
        """Stops the time of a block that is left."""
        self._late_at.pop(limit, None)

    def _end_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for limit, late_at in tuple(self._late_at.items()):
            if late_at > loop.time():
                self._timer = loop.call_at(late_at, self._end_late)
                return
            self.end(limit)
            limit.expire()


class Limit:
    """The time limit of one `with` block."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._deadline.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._deadline.end(self)
        # The task stays cancelled if somebody else cancelled it too.
        ours = self._expired and self._task.uncancel() <= self._cancelling
        if ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancels what the block awaits, because the block is late."""
        self._expired = True
        self._task.cancel()
