"""`python -m bench.profile`: the CPU of a facade and an executor by part, measured by py-spy.

It prints a block for each kind of load: the percentage of samples by part of the code, among those
in which Python ran. A sample counts for the deepest function in its stack that belongs to a part.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from bench import load
from bench.ground import Effort, Ground, broker, ground, instances
from bench.life import Plan
from bench.machine import PEERS
from bench.work import run, work

#: Parts, each with a fragment of its files' paths; the first match counts.
PARTS = {
    "facade/auth": "auth",
    "facade/lifecycle": "decide",
    "facade/replica": "fold",
    "facade/log/tail": "tail",
    "facade/log": "append",
    "facade/jobs": "jobs",
    "facade/rpc": "rpc",
    "facade/http": "http",
    "facade/maintenance": "maintenance",
    "executor/intake": "intake",
    "executor/session": "rpc",
    "executor/outbox": "rpc",
    "executor/run": "runs",
    "executor/": "executor",
    "fabric_jobs/contract/events": "events",
    "litestar/": "litestar",
    "uvicorn/": "uvicorn",
    "aiokafka/producer": "kafka producer",
    "aiokafka/consumer": "kafka consumer",
    "aiokafka/": "kafka client",
    "grpc/": "grpc",
}


def parts(raw: str) -> Counter[str]:
    """The number of samples by part, from py-spy's raw stacks."""
    counted: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = reversed(stack.split(";"))
        found = (name for frame in frames for path, name in PARTS.items() if path in frame)
        counted[next(found, "the loop and the rest")] += int(samples)
    return counted


def frames(raw: str) -> Counter[str]:
    """The number of samples by function; each stack counts a function once."""
    counted: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        for frame in {one.rpartition(":")[0] for one in stack.split(";")}:
            counted[frame] += int(samples)
    return counted


async def spied(pid: int, seconds: float, folder: Path) -> str:
    """Sample a busy process with py-spy; its raw stacks."""
    out = folder / f"{pid}.raw"
    options = ["--pid", str(pid), "--format", "raw", "--full-filenames", "--output", str(out)]
    spy = str(PEERS / "bin" / "py-spy")
    await run(
        spy,
        "record",
        *options,
        "--gil",
        "--rate",
        "200",
        "--duration",
        str(seconds),
        environment={},
    )
    return out.read_text()


def show(title: str, raw: str) -> None:
    """Print one block of the profile."""
    by_part, by_frame = parts(raw), frames(raw)
    total = by_part.total() or 1
    print(f"{title} ({total} samples)")
    for name, samples in by_part.most_common():
        print(f"  {samples / total:6.1%} {name}")
    for name, samples in by_frame.most_common(70):
        if "/site-packages/" not in name or samples / total > 0.03:
            print(f"      {samples / total:6.1%} {name.replace('/site-packages/', ' … ')}")


async def profile(here: Ground) -> None:
    """Profile creates, then whole lives of jobs."""
    topic, seconds = here.topic(), here.effort.seconds
    async with here.facade(topic) as facade:
        url = instances(facade, "nothing")
        await load.creates(url, here.headers, 2)
        loading = asyncio.create_task(load.creates(url, here.headers, seconds + 2))
        await asyncio.sleep(0.5)
        show("facade, creates", await spied(facade.process.pid, seconds, here.folder))
        print((await loading).rate, "accepted a second")
        async with here.executor(topic, facade) as executor:
            plan = Plan(url, here.headers, load.fresh(), here.effort.lives)
            lives = asyncio.create_task(work("life", msgspec.json.encode(plan).decode()))
            await asyncio.sleep(1)
            of_facade, of_executor = await asyncio.gather(
                *(spied(one.process.pid, seconds, here.folder) for one in (facade, executor))
            )
            show("facade, whole lives", of_facade)
            show("executor, whole lives", of_executor)
            print(await lives)


if __name__ == "__main__":
    effort = Effort(rounds=1, seconds=5, lives=int((sys.argv[1:] or ["4000"])[0]), stored=0)
    with (
        tempfile.TemporaryDirectory() as folder,
        broker(Path(folder)) as kafka,
        ground(Path(folder) / "profile", kafka, effort) as here,
    ):
        asyncio.run(profile(here))
