"""`fabric-jobs dev`: runs broker, token issuer, facade and executor until Ctrl-C."""

import asyncio
import errno
import os
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote

import click

from fabric_jobs.cli.clients.fabric import JobInstance
from fabric_jobs.cli.dev.broker import WARNING
from fabric_jobs.cli.dev.defaults import (
    EXAMPLE,
    EXAMPLE_ITEM_TYPE,
    EXAMPLE_JOB_TYPE,
    EXAMPLE_PAYLOAD,
    GRPC_ADDRESS,
    HTTP_ADDRESS,
    ISSUER_ADDRESS,
)
from fabric_jobs.cli.dev.environ import with_values
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.job_lines import print_job_lines
from fabric_jobs.cli.dev.programs import Program
from fabric_jobs.cli.dev.reload import run_reloading
from fabric_jobs.cli.dev.settings_file import read_settings
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.dev.token_endpoint import TokenEndpoint, random_sealing_key
from fabric_jobs.cli.errors import CommandError, InputError
from fabric_jobs.cli.options import Address, grpc_option
from fabric_jobs.cli.run import run
from fabric_jobs.runtime.settings import FILE_SUFFIX, family_of, host_port

SEALING_KEYS = "FABRIC_JOBS_SEALING_KEYS"
#: The options that let a second `dev` run beside the first one.
FREE_PORTS = "--http 127.0.0.1:0 --grpc 127.0.0.1:0 --issuer 127.0.0.1:0"


def _read_project(context: click.Context, _: click.Parameter, target: str) -> str:
    """Reads the environment and the settings of the target's project into `context.obj`.

    They are the defaults of the options that have an environment variable. Raises `InputError` for
    a wrong target or a wrong file.
    """
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", target):
        raise InputError(f"{target!r} is not MODULE:EXECUTOR, such as {EXAMPLE}.")
    context.obj = environ = read_environ(target)
    context.default_map = {
        str(option.name): environ[option.envvar]
        for option in context.command.params
        if isinstance(option.envvar, str) and environ.get(option.envvar)
    }
    return target


@click.command("dev")
@click.argument(
    "target",
    metavar="[MODULE:EXECUTOR]",
    default=EXAMPLE,
    is_eager=True,  # so that the project's settings are read before the other options
    callback=_read_project,
)
@click.option(
    "--http",
    type=Address(),
    default=HTTP_ADDRESS,
    envvar="FABRIC_JOBS_HTTP_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="The address of the facade's HTTP API. Port 0 picks a free port.",
)
@grpc_option("The address of the facade's gRPC API.")
@click.option(
    "--issuer",
    type=Address(),
    default=ISSUER_ADDRESS,
    show_default=True,
    help="The address of the local token issuer.",
)
@click.option(
    "--on-behalf-of",
    is_flag=True,
    help="Give handlers tokens of the user who started the job, from the local issuer.",
)
@click.pass_obj
def dev_command(
    project: dict[str, str], target: str, http: str, grpc: str, issuer: str, on_behalf_of: bool
) -> None:
    """Run a broker, a facade and an executor until Ctrl-C.

    MODULE:EXECUTOR names your handlers: my_jobs:executor is `executor` in my_jobs.py. Without it,
    the examples run. FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka to use in place of
    the embedded broker.
    """
    for user, address in (("The facade's HTTP API", http), ("The facade's gRPC API", grpc)):
        with _explain_taken(user, address):
            host, port = host_port(address)
            socket.create_server((host, port), family=family_of(host)).close()
    with ExitStack() as servers:
        with _explain_taken("The token issuer", issuer):
            token_issuer = servers.enter_context(Issuer(*host_port(issuer)))
        environ = without_client(project)
        if on_behalf_of:
            endpoint = servers.enter_context(TokenEndpoint(token_issuer))
            environ = with_values(environ, endpoint.settings)
            if not environ.get(SEALING_KEYS) and not environ.get(SEALING_KEYS + FILE_SUFFIX):
                # The key seals what is kept of the tokens, and leaves the topic readable.
                sealing = {SEALING_KEYS: random_sealing_key(), "FABRIC_JOBS_SEALING": "open"}
                environ = with_values(environ, sealing)
        run(_run_stack(environ, target, http, grpc, token_issuer))


@contextmanager
def _explain_taken(user: str, address: str) -> Iterator[None]:
    """Turns the error of an address that can't be bound into one line with the way out."""
    try:
        yield
    except OSError as error:
        reason, *_ = str(error.strerror).split(" (while")  # create_server adds the address
        remedy = "Choose another address, such as 127.0.0.1:0."
        if error.errno == errno.EADDRINUSE:
            remedy = (
                f"If another `fabric-jobs dev` runs, stop it or choose free ports: {FREE_PORTS}."
            )
        raise CommandError(f"{user} can't use the address {address}: {reason}. {remedy}") from error


async def _run_stack(
    environ: dict[str, str], target: str, http: str, grpc: str, issuer: Issuer
) -> None:
    """Runs the programs. Raises `CommandError` if one of them ends that was not stopped."""
    async with Stack(environ) as stack:
        if stack.embedded:
            click.echo(WARNING, err=True)
        await stack.supervise(_run_programs(stack, target, http, grpc, issuer))


async def _run_programs(stack: Stack, target: str, http: str, grpc: str, issuer: Issuer) -> None:
    url, grpc = await stack.start_facade(http, grpc, issuer)
    addresses = f"http={url} grpc={grpc} kafka={stack.kafka} authority={issuer.authority}"
    if stack.monitor:
        addresses += f" monitor={stack.monitor}"

    def announce(executor: Program) -> None:
        click.echo(f"ready {addresses}")
        handled, payload = first_handled_type(executor), example_payload(executor)
        steps = next_steps(url, grpc, issuer.authority, handled, payload, stack.monitor)
        click.echo(steps, err=True)

    # No group of tasks, which would hide the reason why the executor did not start.
    printing = asyncio.create_task(print_job_lines(grpc), name="print job lines")
    try:
        if target == EXAMPLE:
            announce(await stack.start_executor(target))
            await asyncio.Event().wait()
        await run_reloading(stack, target, announce)
    finally:
        printing.cancel()


def read_environ(target: str) -> dict[str, str]:
    """Returns the environment with the settings of the project in this folder, if it has a file.

    The environment wins, also if only one of the two names a file that holds the value. The
    examples are no project. Raises `InputError` for a wrong file.
    """
    settings = {} if target == EXAMPLE else read_settings(Path.cwd())
    for name in os.environ:
        settings.pop(name + FILE_SUFFIX, None)
        settings.pop(name.removesuffix(FILE_SUFFIX), None)
    return settings | dict(os.environ)


def without_client(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without the client secret and certificate.

    They are for Entra, and the authority of `dev` is the local issuer.
    """
    dropped = {f"FABRIC_JOBS_CLIENT_{name}" for name in ("SECRET", "CERTIFICATE_FILE")}
    dropped |= {name + FILE_SUFFIX for name in dropped}
    return {name: value for name, value in environ.items() if name not in dropped}


def first_handled_type(executor: Program) -> tuple[str, str]:
    """Returns the item type and the job type of the executor's first handler."""
    first, *_ = executor.ready["job_types"].split(",")
    item_type, _, job_type = first.partition("/")
    return unquote(item_type), unquote(job_type)


def example_payload(executor: Program) -> str | None:
    """Returns a payload that the executor's first handler takes; None if none could be made."""
    if first_handled_type(executor) == (EXAMPLE_ITEM_TYPE, EXAMPLE_JOB_TYPE):
        return EXAMPLE_PAYLOAD
    example = executor.ready.get("example")
    return None if example is None else unquote(example)


def next_steps(
    url: str,
    grpc: str,
    authority: str,
    handled: tuple[str, str],
    payload: str | None,
    monitor: str | None,
) -> str:
    """Returns commands to try on the running programs, with a job of the handled types.

    `payload` is its payload, or None if no example could be made of it. A command names an address
    only if the address is not the default.
    """
    advice = "" if payload else f" (no example of {handled[1]}'s payload can be made: replace {{}})"
    payload = payload or "{}"
    submit = ["fabric-jobs", "submit", *handled, "--payload", payload, "--wait"]
    listing = ["fabric-jobs", "jobs", "list"]
    if url != f"http://{HTTP_ADDRESS}/workload":
        submit += ["--http", url]
    if grpc != GRPC_ADDRESS:
        submit += ["--grpc", grpc]
        listing += ["--grpc", grpc]
    headers = "fabric-jobs token"
    if authority != f"http://{ISSUER_ADDRESS}":
        submit += ["--authority", authority]
        headers += f" --authority {authority}"
    job = JobInstance(item_type=handled[0], job_type=handled[1])
    curl = ["-d", f'{{"invokeType": "Manual", "creationPayload": {payload}}}', url + job.path]
    return (
        f"Start a job in a second terminal{advice}:\n  {shlex.join(submit)}\n"
        f"or send the request that Fabric sends:\n"
        f"  {headers} | curl -i -X POST -H @- {shlex.join(curl)}\n"
        f"List the jobs:\n  {shlex.join(listing)}\n"
        + (f"or open the job monitor: {monitor}\n" if monitor else "")
        + "Press Ctrl-C to stop everything."
    )
