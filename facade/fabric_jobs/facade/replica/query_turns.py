"""The turns of the queries that read many rows."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


class QueryTurns:
    """Asks the store one query at a time.

    The store gives the pending jobs to its writer before each query, and waits for the writer once
    the writer has too many batches. Several slow queries at a time would block the event loop.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def ask(self, query: Callable[[], Future[Answer]]) -> Answer:
        """Begins the query after the end of the earlier ones, and returns its answer."""
        await self._turn.acquire()
        try:
            answer = query()
        except BaseException:
            self._turn.release()
            raise
        loop = asyncio.get_running_loop()
        # The turn ends when the query ends, also if its caller is cancelled before that.
        answer.add_done_callback(lambda _: loop.call_soon_threadsafe(self._turn.release))
        return await asyncio.wrap_future(answer)
