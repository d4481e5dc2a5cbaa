"""Works on jobs in the background, for each partition of the events log by itself.

A partition may take no record for hours, for example because it has too few in-sync replicas. Each
command on its jobs then waits for the command's time limit, but commands on jobs of other
partitions do not wait for them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

#: Items of one partition that are worked on at the same time. A facade refuses the commands of its
#: callers while too many commands are in progress.
PORTION = 10


class PartitionedWork(Generic[Item]):
    """Works on items portion by portion, in one task for each partition that has items."""

    def __init__(
        self,
        partition: Callable[[Item], int],
        work_on: Callable[[Sequence[Item]], Awaitable[None]],
    ) -> None:
        """`partition` returns an item's partition, and `work_on` works on one portion."""
        self._partition = partition
        self._work_on = work_on
        self._busy = set[int]()

    def start(self, items: Iterable[Item], tasks: asyncio.TaskGroup) -> None:
        """Starts to work on the items, in their order.

        Leaves out the items of each partition that has work in progress: start them again later.
        """
        found = defaultdict[int, list[Item]](list)
        for item in items:
            found[self._partition(item)].append(item)
        for partition, its_items in found.items():
            if partition not in self._busy:
                self._busy.add(partition)
                tasks.create_task(self._work(partition, its_items))

    async def _work(self, partition: int, items: Sequence[Item]) -> None:
        try:
            for begin in range(0, len(items), PORTION):
                await self._work_on(items[begin : begin + PORTION])
        finally:
            self._busy.discard(partition)
