"""A facade's state file that is damaged, or can't be written: one line, and no answer is wrong."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.support.apache_kafka import reserve_port
from tests.support.brokers import Cluster
from tests.support.programs import Fabric, facade, new_id

PAGE_BYTES = 4096
JOBS = 100


def overwrite(*pages: int) -> Callable[[Path], None]:
    """Overwrites these pages, counted from 0, with bytes that are no page."""

    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        for page in pages:
            if page * PAGE_BYTES < len(content):
                content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
        file.write_bytes(content)

    return damage


def truncate(file: Path) -> None:
    """Cuts the second half off."""
    os.truncate(file, file.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)


@pytest.mark.parametrize(
    "damage",
    [
        overwrite(0),
        overwrite(1),
        overwrite(2),
        overwrite(*range(3, 8)),
        overwrite(*range(8, 20)),
        overwrite(*range(20, 1000)),
        truncate,
    ],
    ids=["header", "page 1", "page 2", "pages 3-7", "pages 8-19", "pages 20-", "truncated"],
)
async def test_damaged_state_file_is_built_again_and_every_job_is_known(
    apache: Cluster, topic: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Wherever the damage shows, at the start or later: the facade goes on at its address."""
    with reserve_port() as http, reserve_port() as grpc:
        environment = apache.environment(topic) | {
            "FABRIC_JOBS_STATE_DIR": str(tmp_path),
            "FABRIC_JOBS_HTTP_ADDRESS": f"127.0.0.1:{http.getsockname()[1]}",
            "FABRIC_JOBS_GRPC_ADDRESS": f"127.0.0.1:{grpc.getsockname()[1]}",
        }
        job_ids = [new_id() for _ in range(JOBS)]
        async with facade(**environment) as one, Fabric(one) as fabric:
            for job_id in job_ids:
                assert (await fabric.create(job_id)).status_code == 202
            assert await one.stop() == 0
        (file,) = tmp_path.glob("*.sqlite")
        assert file.stat().st_size > 20 * PAGE_BYTES
        damage(file)
        async with facade(**environment) as one, Fabric(one) as fabric:
            for job_id in (*job_ids, new_id()):
                ask = fabric.state if job_id in job_ids else fabric.create
                assert (await _answer(lambda: ask(job_id))).status_code in (200, 202)  # noqa: B023
            cancelled = await _answer(lambda: fabric.cancel(job_ids[0]))
            assert cancelled.json()["status"] == "Cancelled"
            assert one.process.returncode is None
            assert await one.stop() == 0


async def _answer(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer that is not 503: the facade may be building its state again."""
    async with asyncio.timeout(30):
        while True:
            try:
                response = await ask()
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if response.status_code != 503:
                return response
            await asyncio.sleep(0.1)


async def test_facade_without_room_for_its_state_ends_with_one_line_and_is_never_ready(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """The line has the folder and the setting. A limit of file sizes stands for a full disk."""
    environment = apache.environment(topic) | {
        "FABRIC_JOBS_STATE_DIR": str(tmp_path),
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_CREATE_TOPICS": "true",
        "FABRIC_JOBS_EVENTS_PARTITIONS": "4",
        "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
    }
    process = await asyncio.create_subprocess_exec(
        *("prlimit", "--fsize=4194304", sys.executable, "-m", "fabric_jobs.facade"),
        env=os.environ | environment,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()

    assert process.returncode == 1
    assert b"ready" not in out
    assert b"Traceback" not in errors
    last = errors.decode().splitlines()[-1]
    assert f"The folder {tmp_path} has no room" in last
    assert "FABRIC_JOBS_STATE_DIR" in last
