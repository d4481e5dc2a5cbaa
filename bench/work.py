"""Work of the bench in processes of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from typing import Any

import msgspec

from bench.load import WrongAnswerError


async def work(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that `python -m bench.MODULE` says. Raises `WrongAnswerError`."""
    said: dict[str, Any] = msgspec.json.decode(
        await run(sys.executable, "-m", f"bench.{module}", *arguments, environment={})
    )
    return said


async def run(*command: str, environment: dict[str, str]) -> bytes:
    """What a program says. Raises `WrongAnswerError` where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=PIPE, stderr=PIPE
    )
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        # Not the arguments: tokens may be among them.
        raise WrongAnswerError(f"{' '.join(command[:3])}: {errors.decode()[-2000:]}")
    return out
