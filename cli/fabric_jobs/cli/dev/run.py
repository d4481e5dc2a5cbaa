"""`fabric-jobs dev`: everything in one process tree, until it is stopped."""

import asyncio
import shlex
from collections.abc import Mapping
from urllib.parse import unquote

import click

from fabric_jobs.cli.clients.fabric import JobInstance
from fabric_jobs.cli.dev.broker import WARNING
from fabric_jobs.cli.dev.issuer import DEFAULT_ADDRESS, Issuer
from fabric_jobs.cli.dev.programs import Program
from fabric_jobs.cli.dev.reload import run_reloading
from fabric_jobs.cli.dev.stack import Stack

EXAMPLE = "fabric_jobs.cli.example:executor"
EXAMPLE_ITEM_TYPE = "Contoso.FinanceAnalytics.Forecast"
EXAMPLE_JOB_TYPE = "calculateForecast"
EXAMPLE_PAYLOAD = '{"priority": "high"}'
HTTP_ADDRESS = "127.0.0.1:5000"
GRPC_ADDRESS = "127.0.0.1:5001"


async def dev(
    environ: Mapping[str, str], target: str, http: str, grpc: str, issuer: Issuer
) -> None:
    """Run the tree; raises `CommandError` where a part of it ends by itself."""
    async with Stack(environ) as stack:
        if stack.embedded:
            click.echo(WARNING, err=True)
        await stack.alongside(_run(stack, target, http, grpc, issuer))


async def _run(stack: Stack, target: str, http: str, grpc: str, issuer: Issuer) -> None:
    url, grpc = await stack.start_facade(http, grpc, issuer)
    addresses = f"http={url} grpc={grpc} kafka={stack.kafka} authority={issuer.authority}"
    if stack.monitor:
        addresses += f" monitor={stack.monitor}"

    def announce(executor: Program) -> None:
        click.echo(f"ready {addresses}")
        kind = first_kind(executor)
        click.echo(next_steps(url, grpc, issuer.authority, kind, stack.monitor), err=True)

    if target == EXAMPLE:
        announce(await stack.start_executor(target))
        await asyncio.Event().wait()
    await run_reloading(stack, target, announce)


def first_kind(executor: Program) -> tuple[str, str]:
    """The item type and job type of a handler that the executor has."""
    first, *_ = executor.ready["job_types"].split(",")
    item_type, _, job_type = first.partition("/")
    return unquote(item_type), unquote(job_type)


def next_steps(
    url: str, grpc: str, authority: str, kind: tuple[str, str], monitor: str | None
) -> str:
    """What a person may try on the running tree, with jobs of that item type and job type."""
    payload = EXAMPLE_PAYLOAD if kind == (EXAMPLE_ITEM_TYPE, EXAMPLE_JOB_TYPE) else "{}"
    submit = ["fabric-jobs", "submit", *kind, "--payload", payload, "--wait"]
    listing = ["fabric-jobs", "jobs", "list"]
    if url != f"http://{HTTP_ADDRESS}/workload":
        submit += ["--http", url]
    if grpc != GRPC_ADDRESS:
        submit += ["--grpc", grpc]
        listing += ["--grpc", grpc]
    headers = "fabric-jobs token"
    if authority != f"http://{DEFAULT_ADDRESS}":
        submit += ["--authority", authority]
        headers += f" --authority {authority}"
    job = JobInstance(item_type=kind[0], job_type=kind[1])
    curl = ["-d", f'{{"invokeType": "Manual", "creationPayload": {payload}}}', url + job.path]
    return (
        f"In another terminal:\n  {shlex.join(submit)}\n"
        f"or as Fabric does it:\n  {headers} | curl -i -X POST -H @- {shlex.join(curl)}\n"
        f"and to see the jobs:\n  {shlex.join(listing)}\n"
        + (f"or in the browser: {monitor}\n" if monitor else "")
        + "Ctrl-C stops everything."
    )
