"""`fabric-jobs demo`: runs one job on the real programs, and prints each status that it sees."""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from typing import IO

import click
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import Fabric, JobInstance, JobInstanceState
from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT, LocalIdentity
from fabric_jobs.cli.dev.defaults import (
    EXAMPLE,
    EXAMPLE_ITEM_TYPE,
    EXAMPLE_JOB_TYPE,
    EXAMPLE_PAYLOAD,
)
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.programs import Program
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError
from fabric_jobs.cli.run import run
from fabric_jobs.contract.jobs import JobInstanceStatus

POLL_S = 0.1
TIMEOUT_S = 60.0
EXPECTED = (
    JobInstanceStatus.NOT_STARTED,
    JobInstanceStatus.IN_PROGRESS,
    JobInstanceStatus.COMPLETED,
)

_ANY_PORT = "127.0.0.1:0"
#: Bytes at the end of the programs' log that are shown after a failure.
_MAX_LOG_BYTES = 4096


@click.command("demo")
def demo_command() -> None:
    """Run one job from NotStarted to Completed on the real programs.

    FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka to use in place of the embedded
    broker.
    """
    if run(_run_demo()) is None:
        raise CommandError("The demo was stopped before the job was Completed.")


async def _run_demo() -> list[JobInstanceState]:
    """Returns the states that were shown. Raises `CommandError` if an expected state is missing."""
    # The programs' log is shown only after a failure, because it would hide the states.
    with _open_temporary_file() as log:
        try:
            with Issuer() as issuer:
                async with Stack(os.environ, log.fileno()) as stack:
                    states = await stack.supervise(_show_job(stack, issuer))
            if problem := find_problem(states):
                raise CommandError(problem)
            return states
        except Exception:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _MAX_LOG_BYTES))
            click.echo(log.read().decode(errors="replace"), nl=False, err=True)
            raise


def _open_temporary_file() -> IO[bytes]:
    """Raises `CommandError` where no folder for temporary files can be written."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise CommandError(f"The demo needs a folder for temporary files: {error}.") from error


async def _show_job(stack: Stack, issuer: Issuer) -> list[JobInstanceState]:
    """Starts a job and prints each of its states. Returns the states in order."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.2f} s  {text}")

    broker = "embedded broker" if stack.embedded else "Kafka"
    url, _ = await stack.start_facade(_ANY_PORT, _ANY_PORT, issuer)
    say(f"{broker} {stack.kafka}, facade {url}")
    job = JobInstance(item_type=EXAMPLE_ITEM_TYPE, job_type=EXAMPLE_JOB_TYPE)
    states: list[JobInstanceState] = []
    starting: asyncio.Task[Program] | None = None
    async with Fabric(url, LocalIdentity(issuer.authority, DEVELOPMENT_TENANT)) as fabric:
        await fabric.create(job, Raw(EXAMPLE_PAYLOAD))
        say(f"POST {job.path} was answered with 202")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async for state in fabric.states(job, POLL_S):
                    if not states or state.status != states[-1].status:
                        states.append(state)
                        say(describe(state))
                    if starting is None:
                        say("no executor is running: starting one")
                        starting = asyncio.create_task(stack.start_executor(EXAMPLE))
                    elif starting.done():
                        starting.result()
        except TimeoutError:
            say(f"no final state within {TIMEOUT_S:.0f} s")
        finally:
            if starting is not None:
                starting.cancel()
                await asyncio.wait([starting])
    return states


def describe(state: JobInstanceState) -> str:
    """Returns the status, the times and the error of the state on one line."""
    times = {"startTimeUtc": state.start_time_utc, "endTimeUtc": state.end_time_utc}
    known = [f"{name}={value.isoformat()}" for name, value in times.items() if value]
    error = state.error_details
    errors = [f"{error.error_code}: {error.message}"] if error else []
    return " ".join([f"{state.status:<10}", *known, *errors]).rstrip()


def find_problem(states: Sequence[JobInstanceState]) -> str | None:
    """Returns how the states differ from those of a completed job, or None if they do not."""
    statuses = [state.status for state in states]
    for status in EXPECTED:
        if status not in statuses:
            return f"The job was not seen {status}; it was seen {' -> '.join(statuses)}."
    if statuses != list(EXPECTED):
        return f"The job was seen {' -> '.join(statuses)}, in the wrong order."
    if states[-1].start_time_utc is None:
        return "The job completed without a startTimeUtc."
    if states[-1].end_time_utc is None:
        return "The job completed without an endTimeUtc."
    return None
