"""Restarts an executor when the code of its handlers changes."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from watchfiles import PythonFilter, awatch

from fabric_jobs.cli.dev.programs import NotStartedError, Program
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError

#: The exit code of an executor whose command line or settings are wrong.
_USAGE_ERROR = 2


async def run_reloading(stack: Stack, target: str, on_ready: Callable[[Program], None]) -> None:
    """Runs the executor until this task is cancelled. Calls `on_ready` once, with the first one.

    The executor is restarted when a file changes that it has imported. If the code does not start,
    it is started again when any `.py` file changes. Raises `NotStartedError` if the command line or
    a setting is wrong, and `CommandError` if the folder can't be watched.
    """
    with TemporaryDirectory() as folder:
        await _run_reloading(stack, target, on_ready, Imports(Path(folder) / "imports"))


class Imports:
    """The files that the running executor has imported, which it lists in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def clear(self) -> None:
        """Forgets the files of an executor that has ended."""
        self.file.unlink(missing_ok=True)

    def have_any(self, changed: Iterable[str]) -> bool:
        """Returns whether one of the changed files was imported; true if no executor runs."""
        try:
            imported = self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return True
        return not {str(Path(path).resolve()) for path in changed}.isdisjoint(imported)


async def _run_reloading(
    stack: Stack, target: str, on_ready: Callable[[Program], None], imports: Imports
) -> None:
    changed = asyncio.Event()
    watching = asyncio.create_task(_watch(changed, imports), name="watch the code")
    watching.add_done_callback(lambda _: changed.set())
    # The watch begins before the first start, so that no change after the start is missed.
    await asyncio.sleep(0)
    announced = False
    try:
        while True:
            if not watching.done():  # a watch that failed is reported below
                changed.clear()
            executor: Program | None = None
            imports.clear()
            try:
                executor = await stack.start_executor(target, imports.file)
            except NotStartedError as error:
                if error.code == _USAGE_ERROR and not announced:
                    raise
                imports.clear()
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


async def _watch(changed: asyncio.Event, imports: Imports) -> None:
    try:
        async for changes in awatch(".", watch_filter=PythonFilter()):
            if imports.have_any(path for _, path in changes):
                changed.set()
    except (OSError, RuntimeError) as error:
        remedy = "Try again with WATCHFILES_FORCE_POLLING=true."
        raise CommandError(f"This folder can't be watched: {error}. {remedy}") from error
