"""Options that several commands share, and the types of their values."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT
from fabric_jobs.cli.dev.defaults import GRPC_ADDRESS, ISSUER_ADDRESS
from fabric_jobs.runtime.settings import SettingsError, host_port
from fabric_jobs.runtime.times import parse_time

F = TypeVar("F", bound=Callable[..., Any])


class Address(click.ParamType[str]):
    """`HOST:PORT`."""

    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            host_port(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)
        return value


class Time(click.ParamType[datetime]):
    """A time such as 2026-11-23T20:14:01Z, or an age such as 2h."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return parse_time(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def grpc_option(help_text: str) -> Callable[[F], F]:
    """Adds `--grpc`, the facade's gRPC address."""
    return click.option(
        "--grpc",
        type=Address(),
        default=GRPC_ADDRESS,
        envvar="FABRIC_JOBS_GRPC_ADDRESS",
        show_default=True,
        show_envvar=True,
        help=help_text,
    )


def status_api_options(command: F) -> F:
    """Adds `--json` and `--grpc`, which every command on the gRPC status API takes."""
    command = grpc_option("The facade's gRPC address.")(command)
    help_text = "Print JSON for scripts, one object on each line."
    return click.option("--json", is_flag=True, help=help_text)(command)


def authority_option(help_text: str) -> Callable[[F], F]:
    """Adds `--authority`, the URL of the local token issuer."""
    return click.option(
        "--authority",
        metavar="URL",
        default=f"http://{ISSUER_ADDRESS}",
        envvar="FABRIC_JOBS_AUTHORITY",
        show_default=True,
        help=help_text,
    )


tenant_option = click.option(
    "--tenant",
    type=click.UUID,
    default=DEVELOPMENT_TENANT,
    show_default=True,
    help="The id of the tenant.",
)
job_id_argument = click.argument("job_id", type=click.UUID)


def job_type_arguments(command: F) -> F:
    """Adds the arguments `ITEM_TYPE` and `JOB_TYPE`."""
    return click.argument("item_type")(click.argument("job_type")(command))
