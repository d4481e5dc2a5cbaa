"""A time limit that each command has: one timer looks after all of them.

A timer each, as `asyncio.timeout` sets it, is a tenth of what a command costs beside Kafka.
"""

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """So many seconds for each block that is entered by it, as `asyncio.timeout` gives them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        #: Of the blocks that are under way, in the order in which they will be late.
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "Limit":
        """For one block: whatever it awaits when it is late ends with `TimeoutError`."""
        return Limit(self)

    def begin(self, limit: "Limit") -> float:
        """When the block is late, in the loop's time."""
        loop = asyncio.get_running_loop()
        late_at = loop.time() + self._seconds
        self._limits[limit] = None
        if self._timer is None:
            self._timer = loop.call_at(late_at, self._end_late)
        return late_at

    def end(self, limit: "Limit") -> None:
        """The block is over."""
        self._limits.pop(limit, None)

    def _end_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while limit := next(iter(self._limits), None):
            if limit.late_at > loop.time():
                self._timer = loop.call_at(limit.late_at, self._end_late)
                return
            self.end(limit)
            limit.expire()


class Limit:
    """One block's."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._expired = False
        self.late_at = 0.0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self.late_at = self._deadline.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._deadline.end(self)
        # Somebody else may have cancelled the task too: then it is cancelled.
        ours = self._expired and self._task.uncancel() <= self._cancelling
        if ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """The block is late."""
        self._expired = True
        self._task.cancel()
