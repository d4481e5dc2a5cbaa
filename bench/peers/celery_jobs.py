"""FastAPI and Celery on Redis: the application and its task."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

backend = os.environ["BENCH_BACKEND"]
app = Celery("bench", broker=backend, backend=backend)
# Late, so that a worker that dies loses no job: what ours promises, too.
app.conf.update(task_acks_late=True, worker_redirect_stdouts=False)


@app.task(name="nothing")
def nothing(sent: int) -> None:
    """Ends at once; Celery reports that once."""


@worker_ready.connect
def say_ready(**_: Any) -> None:
    """For the bench."""
    print("worker ready", flush=True)
