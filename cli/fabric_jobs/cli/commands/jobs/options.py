"""What the commands about jobs share."""

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click

from fabric_jobs.cli.clients.status_api import StatusApi
from fabric_jobs.cli.options import INTERRUPTED, grpc_option, run

T = TypeVar("T")

grpc = grpc_option("The facade's gRPC address.")
json = click.option("--json", is_flag=True, help="For scripts: a line of JSON each.")
job_id = click.argument("job_id", type=click.UUID)


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work; where a signal stopped it, the command ends."""
    if (result := run(work)) is None:
        sys.exit(INTERRUPTED)
    return result


def ask(address: str, question: Callable[[StatusApi], Awaitable[T]]) -> T:
    """What the facade answers. Raises `StatusApiError`."""

    async def asked() -> T:
        async with StatusApi(address) as api:
            return await question(api)

    return done(asked())
