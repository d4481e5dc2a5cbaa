"""`fabric-jobs demo`: the main job through every real part, each state shown as it is seen."""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence

import click
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import Fabric, JobInstance, JobInstanceState
from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT, LocalIdentity
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.programs import Program
from fabric_jobs.cli.dev.run import EXAMPLE, EXAMPLE_ITEM_TYPE, EXAMPLE_JOB_TYPE, EXAMPLE_PAYLOAD
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError
from fabric_jobs.contract.jobs import JobInstanceStatus

POLL_S = 0.1
DEADLINE_S = 60.0
EXPECTED = (
    JobInstanceStatus.NOT_STARTED,
    JobInstanceStatus.IN_PROGRESS,
    JobInstanceStatus.COMPLETED,
)

_ANY_PORT = "127.0.0.1:0"
_TAIL_BYTES = 4096


async def demo(environ: Mapping[str, str]) -> list[JobInstanceState]:
    """The states shown; raises `CommandError`, saying what was missed."""
    # What the programs log would bury what is shown; it matters where the demonstration fails.
    with tempfile.TemporaryFile() as log:
        try:
            with Issuer() as issuer:
                async with Stack(environ, log.fileno()) as stack:
                    seen = await stack.alongside(_show(stack, issuer))
            if missed := what_is_missing(seen):
                raise CommandError(missed)
            return seen
        except Exception:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            click.echo(log.read().decode(errors="replace"), nl=False, err=True)
            raise


async def _show(stack: Stack, issuer: Issuer) -> list[JobInstanceState]:
    """The states seen, one after the other."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.2f} s  {text}")

    broker = "embedded broker" if stack.embedded else "Kafka"
    url, _ = await stack.start_facade(_ANY_PORT, _ANY_PORT, issuer)
    say(f"{broker} {stack.kafka}, facade {url}")
    job = JobInstance(item_type=EXAMPLE_ITEM_TYPE, job_type=EXAMPLE_JOB_TYPE)
    seen: list[JobInstanceState] = []
    starting: asyncio.Task[Program] | None = None
    async with Fabric(url, LocalIdentity(issuer.authority, DEVELOPMENT_TENANT)) as fabric:
        await fabric.create(job, Raw(EXAMPLE_PAYLOAD))
        say(f"POST {job.path} was answered with 202")
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for state in fabric.states(job, POLL_S):
                    if not seen or state.status != seen[-1].status:
                        seen.append(state)
                        say(describe(state))
                    if starting is None:
                        say("nobody runs it yet: starting an executor")
                        starting = asyncio.create_task(stack.start_executor(EXAMPLE))
                    elif starting.done():
                        starting.result()
        except TimeoutError:
            say(f"no final state within {DEADLINE_S:.0f} s")
        finally:
            if starting is not None:
                starting.cancel()
                await asyncio.wait([starting])
    return seen


def describe(state: JobInstanceState) -> str:
    """The state with its times, in a line."""
    times = {"startTimeUtc": state.start_time_utc, "endTimeUtc": state.end_time_utc}
    shown = [f"{name}={value.isoformat()}" for name, value in times.items() if value]
    error = state.error_details
    errors = [f"{error.error_code}: {error.message}"] if error else []
    return " ".join([f"{state.status:<10}", *shown, *errors]).rstrip()


def what_is_missing(seen: Sequence[JobInstanceState]) -> str | None:
    """What the seen states lack of the whole story; none where it was told."""
    statuses = [state.status for state in seen]
    for status in EXPECTED:
        if status not in statuses:
            return f"The job was not seen {status}; it was seen {' -> '.join(statuses)}."
    if statuses != list(EXPECTED):
        return f"The job was seen {' -> '.join(statuses)}, in the wrong order."
    if seen[-1].start_time_utc is None:
        return "The job completed without a startTimeUtc."
    if seen[-1].end_time_utc is None:
        return "The job completed without an endTimeUtc."
    return None
