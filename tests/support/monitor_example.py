"""A replica with jobs of every kind, for pictures of the monitor and for tests of its layout."""

import uuid
from datetime import UTC, datetime, timedelta

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from tests.support.monitor import EXECUTOR, FoldedJobs

TRACEBACK = """\
Traceback (most recent call last):
  File "/app/handlers.py", line 41, in load_prices
    prices = await client.get(f"/regions/{region}/prices")
  File "/app/.venv/lib/python3.13/site-packages/httpx/_client.py", line 1768, in get
    return await self.request("GET", url)
  File "/app/.venv/lib/python3.13/site-packages/httpx/_client.py", line 1540, in request
    return await self.send(request, auth=auth)
httpx.ConnectTimeout: no answer within 5 s

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/handlers.py", line 27, in refresh
    prices = await load_prices(job.payload.region)
  File "/app/handlers.py", line 43, in load_prices
    raise PricesUnavailable(region) from error
handlers.PricesUnavailable: The prices of region north can't be loaded.
"""
LONG = "a-name-without-any-blank-" + "x" * 100


def fill(fold: FoldedJobs, *, long_names: bool = True) -> str:
    """Fills the replica, if wanted also with names as long as they may be.

    Returns the id of a failed job with a traceback.
    """
    for minute in range(55, 0, -1):
        fold.age = timedelta(minutes=minute)
        job_id = fold.create(job_type=("refresh", "export", "cleanup")[minute % 3])
        fold.age -= timedelta(seconds=minute % 7)
        fold.start(job_id)
        fold.age -= timedelta(seconds=3 + minute % 20)
        if minute % 9:
            fold.complete(job_id)
        else:
            fold.fail(job_id, "The prices of region north can't be loaded.", traceback=TRACEBACK)
    fold.age = timedelta(seconds=40)
    running = [fold.create(job_type="export") for _ in range(3)]
    fold.age = timedelta(seconds=31)
    for place, job_id in enumerate(running):
        fold.start(job_id)
        fold.progress(job_id, 0.2 + place / 4, "reading the orders")
    failed = fold.create()
    fold.start(failed)
    fold.age = timedelta(seconds=12)
    fold.fail(
        failed,
        "PricesUnavailable: The prices of region north can't be loaded.",
        traceback=TRACEBACK,
    )
    fold.cancel(fold.create(job_type="cleanup"))
    fold.age = timedelta(seconds=5)
    if long_names:
        long = fold.create(item_type=LONG, job_type=LONG)
        fold.start(long)
        fold.fail(long, LONG * 5, code=LONG)
    fold.create(job_type="nightly")
    fold.age = timedelta()
    report = "Contoso.Sales.Report"
    names = ("cleanup", "export", "refresh")
    kinds = tuple(JobKind(report, name) for name in names)
    runs = tuple(Run(job_id, 1) for job_id in running)
    executors = [EXECUTOR, *(str(uuid.UUID(int=number << 96)) for number in (7, 8))]
    for place, executor_id in enumerate(executors):
        fold.add_executor(
            ExecutorHeartbeat(
                executor_id=executor_id,
                pool="sales",
                version="fabric-jobs 0.1.0",
                job_kinds=kinds,
                slots=10,
                free_slots=10 if place else 7,
                runs=() if place else runs,
            )
        )
    if long_names:
        fold.add_executor(
            ExecutorHeartbeat(
                executor_id=LONG, pool=LONG, job_kinds=(JobKind(LONG, LONG),), slots=1
            )
        )
    paused = JobTypeControl(
        kind=JobKind(report, "nightly"),
        paused=True,
        reason="The warehouse is moved until noon.",
        by="an operator at the monitor",
        time=datetime.now(UTC) - timedelta(minutes=3),
    )
    fold.pause(paused)
    return failed
