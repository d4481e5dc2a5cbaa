"""Options that several commands share, and the types of their values."""

import math
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT
from fabric_jobs.cli.dev.defaults import GRPC_ADDRESS, ISSUER_ADDRESS
from fabric_jobs.cli.errors import InputError
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.wire import STATUSES, time_to_proto
from fabric_jobs.runtime.settings import SettingsError, host_port
from fabric_jobs.runtime.times import format_time, parse_time
from fabric_jobs.status.v1 import job_status_pb2 as pb

F = TypeVar("F", bound=Callable[..., Any])


class Address(click.ParamType[str]):
    """`HOST:PORT`."""

    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            host_port(value)
        except SettingsError:
            example = param.default if param else GRPC_ADDRESS
            self.fail(f"{value!r} is not HOST:PORT, such as {example}.", param, ctx)
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


class Rate(click.FloatRange):
    """A finite number in a range. `FloatRange` alone lets `nan` pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Status(click.Choice[str]):
    """A job's status, in any letter case. Completion offers Fabric's spelling."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        start = incomplete.lower()
        return [CompletionItem(name) for name in self.choices if name.lower().startswith(start)]


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


def job_filter_options(command: F) -> F:
    """Adds the filters of jobs, and gives them to the command as one `filters`.

    An empty `filters` means that the user typed none.
    """

    @wraps(command)
    def call(
        *arguments: Any,
        statuses: tuple[str, ...],
        job_type: str,
        item_type: str,
        workspace: UUID | None,
        item: UUID | None,
        since: datetime | None,
        until: datetime | None,
        exhausted: bool,
        **others: Any,
    ) -> Any:
        if since and until and since >= until:
            raise InputError("--since must be a time before --until.")
        filters = pb.ListJobsRequest(
            statuses=[STATUSES[JobInstanceStatus(status)] for status in statuses],
            job_type=job_type,
            item_type=item_type,
            workspace_id=str(workspace or ""),
            item_id=str(item or ""),
            exhausted=exhausted,
            start_create_time=time_to_proto(since),
            end_create_time=time_to_proto(until),
        )
        return command(*arguments, filters=filters, **others)

    for option in reversed(_FILTERS):
        call = option(call)
    return cast("F", call)


def format_filters(context: click.Context) -> str:
    """Returns the filters of this call as they can be typed again."""
    words = list[str]()
    for option in context.command.params:
        values = context.params.get(str(option.name))
        if option.name not in _FILTER_NAMES or not values:
            continue
        for value in values if isinstance(values, tuple) else (values,):
            words.append(option.opts[0])
            if isinstance(value, datetime):
                words.append(format_time(value))
            elif value is not True:
                words.append(str(value))
    return shlex.join(words)


_FILTERS = (
    click.option(
        "--status",
        "statuses",
        type=Status([*map(str, JobInstanceStatus)], case_sensitive=False),
        multiple=True,
        metavar="STATUS",
        help=f"Only jobs with this status: {', '.join(JobInstanceStatus)}. May be repeated.",
    ),
    click.option("--job-type", metavar="TYPE", default="", help="Only jobs of this type."),
    click.option("--item-type", metavar="TYPE", default="", help="Only jobs of this item type."),
    click.option("--workspace", type=click.UUID, help="Only jobs in this workspace."),
    click.option("--item", type=click.UUID, help="Only jobs on this item."),
    click.option("--since", type=Time(), help="Only jobs created since this time, such as 2h."),
    click.option("--until", type=Time(), help="Only jobs created before this time."),
    click.option(
        "--exhausted",
        is_flag=True,
        help="Only jobs whose attempts have all failed, and that no other job has replaced.",
    ),
)
_FILTER_NAMES = frozenset(
    {"statuses", "job_type", "item_type", "workspace", "item", "since", "until", "exhausted"}
)
