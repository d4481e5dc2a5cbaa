"""The tasks of an event loop whose work is over."""

import asyncio


async def cancel_other_tasks(within_s: float) -> bool:
    """Cancels all tasks but the current one, and tells whether they ended in so many seconds."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    return not left or not (await asyncio.wait(left, timeout=within_s))[1]
