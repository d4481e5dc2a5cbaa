"""Handlers that run as their code is now: when it changes, their executor is started anew."""

import asyncio
from collections.abc import Callable

import click
from watchfiles import PythonFilter, awatch

from fabric_jobs.cli.dev.programs import NotStartedError, Program
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError

#: The exit code of an executor whose command line or settings can't be used.
_USAGE = 2


async def run_reloading(stack: Stack, target: str, on_ready: Callable[[Program], None]) -> None:
    """Runs the executor for ever; `on_ready` is called with the first one that is ready.

    One that its code lets not start is waited for until the code changes. Raises `NotStartedError`
    where the first can't be told so: it is the command line or a setting that is wrong; and
    `CommandError` where the code can't be watched.
    """
    changed = asyncio.Event()
    watching = asyncio.create_task(_watch(changed), name="watch the code")
    watching.add_done_callback(lambda _: changed.set())
    # It begins now, before the first start, so that no change is missed: a program that is started
    # runs before tasks get a turn.
    await asyncio.sleep(0)
    announced = False
    try:
        while True:
            if not watching.done():  # else it is told of below
                changed.clear()
            executor: Program | None = None
            try:
                executor = await stack.start_executor(target)
            except NotStartedError as error:
                if error.code == _USAGE and not announced:
                    raise
                click.echo(f"{error.message} It starts again when a .py file changes.", err=True)
            else:
                if announced:
                    click.echo("The executor runs the code as it is now.", err=True)
                else:
                    announced = True
                    on_ready(executor)
            await changed.wait()
            if watching.done():
                watching.result()
            click.echo(
                "The code has changed: the executor ends its runs, and starts anew.", err=True
            )
            if executor:
                await stack.stop(executor)
    finally:
        watching.cancel()


async def _watch(changed: asyncio.Event) -> None:
    try:
        async for _ in awatch(".", watch_filter=PythonFilter()):
            changed.set()
    except (OSError, RuntimeError) as error:
        remedy = "Try it with WATCHFILES_FORCE_POLLING=true."
        raise CommandError(f"This folder can't be watched: {error}. {remedy}") from error
