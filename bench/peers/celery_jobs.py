"""FastAPI and Celery on Redis: the application and its task."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

backend = os.environ["BENCH_BACKEND"]
app = Celery("bench", broker=backend, backend=backend)
# Acknowledge late, so that a worker that dies loses no job, as our executor promises.
app.conf.update(task_acks_late=True, worker_redirect_stdouts=False)


@app.task(name="nothing")
def nothing(sent: int) -> None:
    """Completes at once; Celery reports the end once."""


@worker_ready.connect
def say_ready(**_: Any) -> None:
    """Print the ready line that the bench waits for."""
    print("worker ready", flush=True)
