"""Runs parts of the bench in separate processes."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from typing import Any

import msgspec

from bench.load import WrongAnswerError


async def work(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that `python -m bench.MODULE` prints. Raises `WrongAnswerError`."""
    said: dict[str, Any] = msgspec.json.decode(
        await run(sys.executable, "-m", f"bench.{module}", *arguments, environment={})
    )
    return said


async def run(*command: str, environment: dict[str, str]) -> bytes:
    """The output of a program. Raises `WrongAnswerError` where the program fails."""
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
        # The arguments are left out because they may have tokens.
        raise WrongAnswerError(f"{' '.join(command[:3])}: {errors.decode()[-2000:]}")
    return out
