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
        #: When each block that is under way is late, in the loop's time; the first comes first.
        self._late_at: dict[Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "Limit":
        """For one block: whatever it awaits when it is late ends with `TimeoutError`."""
        return Limit(self)

    def begin(self, limit: "Limit") -> None:
        """The block is entered."""
        loop = asyncio.get_running_loop()
        late_at = self._late_at[limit] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(late_at, self._end_late)

    def end(self, limit: "Limit") -> None:
        """The block is over."""
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
    """One block's."""

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
        # Somebody else may have cancelled the task too: then it is cancelled.
        ours = self._expired and self._task.uncancel() <= self._cancelling
        if ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """The block is late."""
        self._expired = True
        self._task.cancel()
