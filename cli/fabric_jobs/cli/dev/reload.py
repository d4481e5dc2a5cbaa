"""Restarts an executor when the code of its handlers changes."""

import asyncio
from collections.abc import Callable

import click
from watchfiles import PythonFilter, awatch

from fabric_jobs.cli.dev.programs import NotStartedError, Program
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError

#: The exit code of an executor whose command line or settings are wrong.
_USAGE_ERROR = 2


async def run_reloading(stack: Stack, target: str, on_ready: Callable[[Program], None]) -> None:
    """Runs the executor until this task is cancelled. Calls `on_ready` once, with the first one.

    If the code does not start, waits until the code changes. Raises `NotStartedError` if the
    command line or a setting is wrong, and `CommandError` if the folder can't be watched.
    """
    changed = asyncio.Event()
    watching = asyncio.create_task(_watch(changed), name="watch the code")
    watching.add_done_callback(lambda _: changed.set())
    # The watch begins before the first start, so that no change after the start is missed.
    await asyncio.sleep(0)
    announced = False
    try:
        while True:
            if not watching.done():  # a watch that failed is reported below
                changed.clear()
            executor: Program | None = None
            try:
                executor = await stack.start_executor(target)
            except NotStartedError as error:
                if error.code == _USAGE_ERROR and not announced:
                    raise
                click.echo(f"{error.message} It restarts when a .py file changes.", err=True)
            else:
                if announced:
                    click.echo("The executor runs the changed code.", err=True)
                else:
                    announced = True
                    on_ready(executor)
            await changed.wait()
            if watching.done():
                watching.result()
            click.echo("The code changed: the executor stops and restarts.", err=True)
            if executor:
                await stack.stop(executor)
    finally:
        watching.cancel()


async def _watch(changed: asyncio.Event) -> None:
    try:
        async for _ in awatch(".", watch_filter=PythonFilter()):
            changed.set()
    except (OSError, RuntimeError) as error:
        remedy = "Try again with WATCHFILES_FORCE_POLLING=true."
        raise CommandError(f"This folder can't be watched: {error}. {remedy}") from error
