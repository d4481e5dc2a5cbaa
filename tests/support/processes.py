"""Awaits processes that the programs start."""

import asyncio
from pathlib import Path

#: Seconds that a loaded machine may take to start a process, or to end one.
START_S = 30.0


async def await_pid(path: Path) -> int:
    """Waits until a handler has written a process id, and returns it."""
    async with asyncio.timeout(START_S):
        while not (path.exists() and path.read_text()):
            await asyncio.sleep(0.01)
    return int(path.read_text())


async def await_gone(*process_ids: int) -> None:
    """Waits until the processes have ended."""
    async with asyncio.timeout(START_S):
        while any(map(is_running, process_ids)):
            await asyncio.sleep(0.01)


def is_running(process_id: int) -> bool:
    """Returns true if the process has not ended."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second, if it ends during the read
        return False
