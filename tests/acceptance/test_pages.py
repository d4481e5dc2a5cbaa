"""Runs the curl and kcat blocks of the pages as they stand."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import COMMAND, dev
from tests.support.pages import ShownCommand, command_blocks, find_commands
from tests.support.requirements import missing

#: A mark after the output of each command.
MARK = "\x1e"
WHOLE = [
    block
    for block in command_blocks()
    if any(one in find_commands("curl", "kcat", "jq") for one in block)
]


@pytest.mark.parametrize("block", WHOLE, ids=lambda block: block[0].page)
async def test_console_block_prints_what_the_page_shows(
    block: list[ShownCommand], tmp_path: Path
) -> None:
    """Each block runs from its first line to its last on `fabric-jobs dev`."""
    for program in sorted(set().union(*(one.programs for one in block)) - {"fabric-jobs"}):
        if shutil.which(program) is None:
            missing(program, f"no {program} on PATH: install it")
    async with dev() as running:
        script = "\n".join(f"{one.command}\nprintf '{MARK}'" for one in block)
        script = script.replace("127.0.0.1:5000", running.ready["http"].split("/")[2])
        script = script.replace("127.0.0.1:9092", running.ready["kafka"])
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-uc", script],
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}",
                "FABRIC_JOBS_URL": running.ready["http"],
                "FABRIC_JOBS_GRPC_ADDRESS": running.ready["grpc"],
                "FABRIC_JOBS_AUTHORITY": running.ready["authority"],
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    printed = done.stdout.split(MARK)[:-1]
    for one, seen in zip(block, printed, strict=True):
        assert one.matches(seen), f"{one.command}\n{seen}\n{done.stderr}"
