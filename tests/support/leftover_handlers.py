"""Handlers in processes that leave threads and tasks running, and handlers that run after them."""

import _thread
import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from fabric_jobs.executor import Executor, Job

executor = Executor()
ITEM_TYPE = "Test.Item"
SCOPE = "https://storage.azure.com/.default"
log = logging.getLogger("leftover_handlers")

#: Set by the second job of the process: what the first job left may go on.
_goes_on = threading.Event()
_threads: list[threading.Thread] = []
_tasks: list[asyncio.Task[None]] = []
_kept: list[bytearray] = []


class Started(threading.Thread):
    """A thread with a `run` of its own, which starts another thread."""

    def run(self) -> None:
        """Waits for the second job. Then its own thread logs."""
        _goes_on.wait()
        inner = threading.Thread(target=log.info, args=("left: a thread of a thread",))
        inner.start()
        inner.join()


def _start(thread: threading.Thread) -> None:
    _threads.append(thread)
    thread.daemon = True
    thread.start()


def _log_later() -> None:
    _goes_on.wait()
    log.info("left: a thread")


@executor.job(ITEM_TYPE, "threads", run_in="process")
def leave_threads(job: Job[Any]) -> None:
    """Leaves threads in the first call. In the second call, lets them log, and fails."""
    if not _threads:
        _start(threading.Thread(target=_log_later))
        _start(Started())
        return
    _goes_on.set()
    for thread in _threads:
        thread.join()
    foreign = threading.Event()
    _thread.start_new_thread(_log_as_c_library, (foreign.set,))
    foreign.wait()
    own = threading.Thread(target=log.info, args=("own: a thread",))
    own.start()
    own.join()
    log.info("own: the handler")
    raise RuntimeError("for its log lines")


def _log_as_c_library(end: Callable[[], None]) -> None:
    log.info("left: a thread without a starter")
    end()


@executor.job(ITEM_TYPE, "tasks", run_in="process")
async def leave_task(job: Job[Any]) -> None:
    """Leaves a task in the first call. In the second call, lets it log, and fails."""

    async def log_later() -> None:
        while not _goes_on.is_set():
            await asyncio.sleep(0.01)
        log.info("left: a task")
        await asyncio.to_thread(log.info, "left: a thread of a task")

    if not _tasks:
        _tasks.append(asyncio.create_task(log_later()))
        return
    _goes_on.set()
    await _tasks[0]
    await asyncio.to_thread(log.info, "own: a thread")
    log.info("own: the handler")
    raise RuntimeError("for its log lines")


@executor.job(ITEM_TYPE, "keeping", run_in="process")
def keep_memory(job: Job[Any]) -> None:
    """Keeps 64 MB for later calls. Logs how many calls have kept them, and its process id."""
    _kept.append(bytearray(64 * 2**20))
    log.info("kept %d in %d", len(_kept), os.getpid())


@executor.job(ITEM_TYPE, "limited", run_in="process", memory_limit_mb=128)
def use_little_memory(job: Job[Any]) -> None:
    """Needs 32 of its 128 MB. Logs its process id."""
    bytearray(32 * 2**20)
    log.info("limited in %d", os.getpid())


@executor.job(ITEM_TYPE, "giving-up", run_in="process")
async def give_up_on_token(job: Job[Any]) -> None:
    """Asks for a token of the user, and ends without it."""
    try:
        await asyncio.wait_for(job.access_token(SCOPE), 0.05)
    except TimeoutError:
        log.info("%s gave up", job.tenant_id)


@executor.job(ITEM_TYPE, "using", run_in="process")
async def use_token(job: Job[Any]) -> None:
    """Logs its token of the user."""
    log.info("%s got %s", job.tenant_id, await job.access_token(SCOPE))


@executor.job(ITEM_TYPE, "asking-late", run_in="process")
def ask_late(job: Job[Any]) -> None:
    """Leaves threads: one waits for its token, and the other asks while the next job runs."""
    first = job.access_token("of the first")

    def wait() -> None:
        try:
            first.result()
        except Exception as error:
            log.info("waiting: %s", error)

    def ask() -> None:
        _goes_on.wait()
        try:
            job.app_access_token("of the thread").result()
        except Exception as error:
            log.info("late: %s", error)

    _start(threading.Thread(target=wait))
    _start(threading.Thread(target=ask))


@executor.job(ITEM_TYPE, "using-beside", run_in="process")
def use_token_beside_threads(job: Job[Any]) -> None:
    """Lets the threads of the job before it ask first. Then logs its own token of the user."""
    _goes_on.set()
    for thread in _threads:
        thread.join()
    log.info("%s got %s", job.tenant_id, job.access_token(SCOPE).result())
