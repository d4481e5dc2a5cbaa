"""What several commands share: types of options, options, and the way a command is run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from fabric_jobs.cli.dev.run import GRPC_ADDRESS
from fabric_jobs.cli.dev.stack import until_stopped
from fabric_jobs.runtime.settings import SettingsError, host_port

#: The exit code of a command that Ctrl-C ended before its work was done.
INTERRUPTED = 130

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Address(click.ParamType[str]):
    """`HOST:PORT`."""

    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            host_port(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)
        return value


def grpc_option(help_text: str) -> Callable[[F], F]:
    """`--grpc`: the facade's gRPC address."""
    return click.option(
        "--grpc",
        type=Address(),
        default=GRPC_ADDRESS,
        envvar="FABRIC_JOBS_GRPC_ADDRESS",
        show_default=True,
        show_envvar=True,
        help=help_text,
    )


def run(work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work; none where it was stopped by a signal."""
    return asyncio.run(until_stopped(work))
