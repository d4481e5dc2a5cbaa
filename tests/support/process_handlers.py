"""Handlers that run in processes of their own."""

import asyncio
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pydantic
from opentelemetry import trace

from fabric_jobs.executor import Executor, Job, JobFailed, JobStopped, Retry

executor = Executor()
ITEM_TYPE = "Test.Item"
log = logging.getLogger("process_handlers")


class Order(pydantic.BaseModel):
    """A payload of pydantic's."""

    rows: int = pydantic.Field(gt=0)


class Work(msgspec.Struct):
    """A payload."""

    #: The path of a file. The handler writes its process id into it when it starts.
    pid: str = ""
    #: Bytes that the handler allocates.
    size: int = 0
    #: The path of a file for which the handler waits.
    until: str = ""
    #: The number of a signal that the handler sends to its own process.
    signal: int = 0


def _announce(job: Job[Work]) -> None:
    if job.payload.pid:
        Path(job.payload.pid).write_text(str(os.getpid()))


@executor.job(ITEM_TYPE, "quick", run_in="process", memory_limit_mb=128)
def quick(job: Job[Work]) -> None:
    """Completes at once."""
    _announce(job)


@executor.job(ITEM_TYPE, "reporting", run_in="process")
def reporting(job: Job[Work]) -> None:
    """Reports progress, logs with and without a thread, prints, and shows what it knows."""
    print("printed by the handler")
    for step in range(1000):
        job.progress(step / 1000, f"step {step}")
    log.info("from %s", "the handler", extra={"rows": 5})
    thread = threading.Thread(target=log.info, args=("from a thread",))
    thread.start()
    thread.join()
    log.info("trace %032x", trace.get_current_span().get_span_context().trace_id)
    log.info("definition %s", job.definition and job.definition.parts[0].path)
    log.info("%s %s %s", job.tenant_id, job.attempt, job.payload.size)


@executor.job(ITEM_TYPE, "raising", run_in="process")
def raising(job: Job[Work]) -> None:
    """Logs, and raises an unexpected error."""
    log.info("the region is %s", "north")
    raise ValueError("no such region")


class Text(str):
    """A text of a type of its own."""

    __slots__ = ()


class Number(float):
    """A number of a type of its own, as in numpy."""


class Silent:
    """A value that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


@executor.job(ITEM_TYPE, "unencodable", run_in="process")
def unencodable(job: Job[Work]) -> None:
    """Reports and logs values that no message can carry as they are."""
    job.progress(0.5, "reads caf\udce9.txt")
    log.info("reads %s", "caf\udce9.txt")
    log.info("%d rows", "no number")
    values = {"huge": 2**64, "longest": 10**5000, "silent": Silent(), "text": Text("a")}
    log.info("values", extra=values | {"n\udce9": Number(1.5), "limit": -(2**63)})


@executor.job(ITEM_TYPE, "failing", run_in="process")
def failing(job: Job[Work]) -> None:
    """Raises an error of its choice."""
    raise JobFailed("Closed.", code="RegionClosed", source="User", permanent=True)


@executor.job(ITEM_TYPE, "looping", run_in="process", cancel_grace_s=1)
def looping(job: Job[Work]) -> None:
    """Runs until it is asked to end."""
    _announce(job)
    while True:
        job.raise_if_cancelled()
        time.sleep(0.01)


@executor.job(ITEM_TYPE, "asynchronous", run_in="process")
async def asynchronous(job: Job[Work]) -> None:
    """Runs in an event loop of its own until it is cancelled, and says so."""
    _announce(job)
    try:
        await asyncio.Event().wait()
    finally:
        log.info("cleaned up")


@executor.job(ITEM_TYPE, "deaf", run_in="process", cancel_grace_s=1)
def deaf(job: Job[Work]) -> None:
    """Ignores every cancel."""
    _announce(job)
    time.sleep(600)


@executor.job(ITEM_TYPE, "holding-gil", run_in="process", cancel_grace_s=1)
def holding_gil(job: Job[Work]) -> None:
    """Holds the interpreter's lock in a C call for 600 seconds."""
    _announce(job)
    ctypes.PyDLL(None).sleep(600)


@executor.job(ITEM_TYPE, "holding-gil-briefly", run_in="process")
def holding_gil_briefly(job: Job[Work]) -> None:
    """Holds the interpreter's lock in a C call for 8 seconds."""
    _announce(job)
    ctypes.PyDLL(None).sleep(8)


@executor.job(ITEM_TYPE, "timed", run_in="process", cancel_grace_s=0.5, run_timeout_s=1)
def timed(job: Job[Work]) -> None:
    """Exceeds its run timeout in a C call that holds the interpreter's lock."""
    holding_gil(job)


@executor.job(ITEM_TYPE, "backtracking", run_in="process", cancel_grace_s=1)
def backtracking(job: Job[Work]) -> None:
    """Holds the interpreter's lock in a regular expression that takes for ever."""
    _announce(job)
    re.match(r"(a+)+$", "a" * 60 + "b")


@executor.job(ITEM_TYPE, "killed", run_in="process", retry=Retry(max_attempts=2, initial_s=0.1))
def killed(job: Job[Work]) -> None:
    """Sends its own process a signal in the first attempt."""
    if job.attempt == 1:
        os.kill(os.getpid(), job.payload.signal or signal.SIGKILL)
        time.sleep(60)


@executor.job(ITEM_TYPE, "crashing", run_in="process")
def crashing(job: Job[Work]) -> None:
    """Reads from address 0."""
    ctypes.string_at(0)


@executor.job(ITEM_TYPE, "exiting", run_in="process")
def exiting(job: Job[Work]) -> None:
    """Ends its process."""
    log.info("about to exit")
    os._exit(3)


@executor.job(ITEM_TYPE, "system-exit", run_in="process")
def system_exit(job: Job[Work]) -> None:
    """Raises SystemExit."""
    sys.exit(4)


@executor.job(ITEM_TYPE, "allocating", run_in="process", memory_limit_mb=256)
def allocating(job: Job[Work]) -> None:
    """Allocates memory."""
    _announce(job)
    bytearray(job.payload.size)


@executor.job(ITEM_TYPE, "parent", run_in="process", cancel_grace_s=1)
def parent(job: Job[Work]) -> None:
    """Starts a program, whose process id it writes, and waits for it."""
    child = subprocess.Popen(["sleep", "600"])
    Path(job.payload.pid).write_text(str(child.pid))
    child.wait()


@executor.job(ITEM_TYPE, "checking", run_in="process")
def checking(job: Job[Any]) -> None:
    """Reports progress in ten steps, and checks for a cancel after each."""
    for step in range(10):
        job.progress(step / 10)
        if job.cancel_requested:
            raise JobStopped


@executor.job(ITEM_TYPE, "counting", run_in="process", retry=Retry(max_attempts=9, initial_s=0.1))
def counting(job: Job[Work]) -> None:
    """Counts to a hundred with a checkpoint at each step. Every attempt fails after 41 steps."""
    first = job.checkpoint(int) or 0
    for step in range(first, 100):
        job.save_checkpoint(step + 1)
        job.progress(step / 100, f"from {first}")
        if step == first + 40:
            raise RuntimeError(f"stopped after step {step}")


@executor.job(ITEM_TYPE, "dying", run_in="process", retry=Retry(max_attempts=2, initial_s=0.1))
def dying(job: Job[Work]) -> None:
    """Saves a checkpoint, and is killed in its first attempt."""
    if job.checkpoint(dict) is None:
        job.save_checkpoint({"row": 7})
        os.kill(os.getpid(), signal.SIGKILL)
    log.info("resumed at %s", job.checkpoint(dict))


@executor.job(ITEM_TYPE, "resuming", run_in="process", retry=Retry(max_attempts=2, initial_s=0.1))
def resuming(job: Job[Work]) -> None:
    """Saves a checkpoint and waits in the first attempt, and says in the second where it begins."""
    _announce(job)
    begin = job.checkpoint(int)
    if begin is None:
        job.save_checkpoint(7)
        while not Path(job.payload.until).exists():
            time.sleep(0.02)
    job.progress(1, f"resumed at {begin}")


@executor.job(ITEM_TYPE, "too-large", run_in="process")
def too_large(job: Job[Work]) -> None:
    """Saves a checkpoint beyond the bound."""
    job.save_checkpoint("x" * 20_000)


class Opened:
    """What the lifespan opens: the place where it notes what happens."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.ticks = 0

    def note(self, text: str) -> None:
        """Adds a line with the process id."""
        with self.notes.open("a") as file:
            file.write(f"{os.getpid()} {text}\n")


@asynccontextmanager
async def open_notes() -> AsyncIterator[Opened]:
    """Notes when it is entered and left. Its task goes on while handlers run.

    It fails if the folder of the notes does not exist, and in a process also if there is a file
    named `broken`.
    """
    opened = Opened(Path(os.environ["TEST_NOTES"]))
    is_child = "fabric_jobs.executor.processes.child" in sys.orig_argv
    if is_child and opened.notes.with_name("broken").exists():
        raise ConnectionError("db-1 is away")
    opened.note("opened")

    async def tick() -> None:
        while True:
            opened.ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    yield opened
    ticking.cancel()
    opened.note("closed")


with_notes = Executor(lifespan=open_notes)


@with_notes.job(ITEM_TYPE, "noting", run_in="process")
def noting(job: Job[Work, Opened]) -> None:
    """Uses the resources while the lifespan's own task goes on."""
    job.resources.note("used")
    ticks = job.resources.ticks
    while job.resources.ticks == ticks:
        time.sleep(0.001)


@with_notes.job(ITEM_TYPE, "noting-async", run_in="process")
async def noting_async(job: Job[Work, Opened]) -> None:
    """Uses the resources."""
    job.resources.note("used")


@executor.job(ITEM_TYPE, "pydantic", run_in="process")
def take_order(job: Job[Order]) -> None:
    """Reports the number of rows."""
    job.progress(1, f"{type(job.payload).__name__} of {job.payload.rows}")


class Fragile:
    """The resources of a lifespan that ends by itself once a handler lets it."""

    def __init__(self) -> None:
        self.is_open = True
        self.may_fail = asyncio.Event()

    async def fail(self) -> None:
        """Waits for `may_fail`, and raises `ConnectionError`."""
        await self.may_fail.wait()
        raise ConnectionError("db-1 is away")


@asynccontextmanager
async def open_fragile() -> AsyncIterator[Fragile]:
    """A lifespan that ends when its task fails."""
    fragile = Fragile()
    async with asyncio.TaskGroup() as group:
        failing = group.create_task(fragile.fail())
        try:
            yield fragile
        finally:
            fragile.is_open = False
            failing.cancel()


with_fragile = Executor(lifespan=open_fragile)


@with_fragile.job(ITEM_TYPE, "fragile", run_in="process")
async def use_fragile(job: Job[Work, Fragile]) -> None:
    """Uses the resources, and then lets their lifespan end."""
    if not job.resources.is_open:
        raise JobFailed("closed")
    _announce(job)
    job.resources.may_fail.set()
    while job.resources.is_open:
        await asyncio.sleep(0)
