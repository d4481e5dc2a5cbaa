"""Work of the bench that runs in a process of its own, and says what it saw in one JSON object."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import Any

import msgspec

from bench.load import WrongAnswerError


async def work(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m bench.MODULE` says. Raises `WrongAnswerError` where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"bench.{module}", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise WrongAnswerError(f"bench.{module} {' '.join(arguments)}: {errors.decode()}")
    said: dict[str, Any] = msgspec.json.decode(out)
    return said
