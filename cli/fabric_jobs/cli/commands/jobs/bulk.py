"""Cancels or retries all jobs that match the filters of `jobs list`."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import click
from msgspec import Struct

from fabric_jobs.cli.clients.status_api import (
    StatusApi,
    StatusApiError,
    UnavailableError,
    call_status_api,
)
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.options import F, Rate, format_filters, job_filter_options
from fabric_jobs.cli.output.jobs import jobs_table
from fabric_jobs.cli.output.progress_bar import CountBar
from fabric_jobs.cli.output.tables import print_note, print_table
from fabric_jobs.cli.run import INTERRUPTED, run
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Jobs that a bulk command finds at most, the newest ones; repeating the command finds the others.
MAX_JOBS = 100_000
#: Jobs of a dry run that are shown.
MAX_SHOWN = 20
#: Tries for one job while the facade is away, and the seconds between two of them.
TRIES = 5
RETRY_S = 1.0


class BulkOptions(Struct, frozen=True):
    """The options of a bulk command besides its filters."""

    dry_run: bool
    yes: bool
    #: Jobs per second at most.
    rate: float


class Bulk(Struct, frozen=True, kw_only=True):
    """One kind of change to many jobs."""

    #: The name of the command, such as `cancel`.
    verb: str
    #: The statuses that are changed where the user names none.
    statuses: Sequence[pb.JobInstanceStatus]
    #: Whether jobs that another job has replaced are left out.
    unreplaced: bool = False
    #: Changes one job. Returns what became of it, in a word or two.
    change: Callable[[StatusApi, pb.Job], Awaitable[str]]


def bulk_options(command: F) -> F:
    """Adds the filters, `--dry-run`, `--yes` and `--rate`."""
    for option in (
        click.option(
            "--rate",
            type=Rate(min=0.1),
            default=50.0,
            show_default=True,
            help="With filters: change at most this many jobs a second.",
        ),
        click.option("--yes", is_flag=True, help="With filters: do not ask before the change."),
        click.option("--dry-run", is_flag=True, help="With filters: only show the jobs."),
    ):
        command = option(command)
    return job_filter_options(command)


def check_target(job_id: object, filters: pb.ListJobsRequest, options: BulkOptions) -> None:
    """Raises `InputError` unless the user named either one job or at least one filter."""
    has_filters = bool(filters.ByteSize())
    if job_id and (has_filters or options.dry_run or options.yes):
        raise InputError("Name either a job's id or filters, not both.")
    if not job_id and not has_filters:
        raise InputError(
            "Name a job's id, or at least one filter, such as --job-type or --since. "
            "Without a filter this would concern every job."
        )


def run_bulk(
    context: click.Context, grpc: str, bulk: Bulk, filters: pb.ListJobsRequest, options: BulkOptions
) -> None:
    """Counts the jobs, asks, changes them, and prints what became of each. Exits with the code.

    The exit code is 0 if each job was changed, 1 if one was not, and `INTERRUPTED` after Ctrl-C.
    """
    if not filters.statuses:
        filters.statuses.extend(bulk.statuses)
    filters.unreplaced = bulk.unreplaced
    jobs, more = call_status_api(grpc, lambda api: api.list(filters, MAX_JOBS))
    typed = format_filters(context)
    print_note(
        f"{len(jobs)} jobs match {typed}."
        + (" More jobs match: repeat the command for them." if more else "")
    )
    if options.dry_run and jobs:
        print_table(jobs_table(jobs[:MAX_SHOWN]))
        if len(jobs) > MAX_SHOWN:
            print_note(f"… and {len(jobs) - MAX_SHOWN} more.")
    if options.dry_run or not jobs:
        return
    if not options.yes:
        _confirm(f"{bulk.verb.capitalize()} {len(jobs)} jobs?")
    results = Counter[str]()
    all_changed = run(_change_all(grpc, bulk, jobs, options.rate, results))
    for result, count in sorted(results.items()):
        click.echo(f"{count} {result}")
    if all_changed is None:  # a signal stopped the work
        print_note(
            f"Stopped after {results.total()} of {len(jobs)} jobs. Repeating the command is safe."
        )
        sys.exit(INTERRUPTED)
    sys.exit(0 if all_changed else 1)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("Without a terminal nobody can confirm. Add --yes, or try --dry-run.")
    if not click.confirm(question, err=True):
        raise InputError("Nothing was changed.")


async def _change_all(
    grpc: str, bulk: Bulk, jobs: Sequence[pb.Job], rate: float, results: Counter[str]
) -> bool:
    """Changes the jobs one after the other, the oldest first, at most `rate` a second.

    Counts the jobs in `results` by what became of them. Returns whether each job was changed.
    """
    all_changed = True
    clock = asyncio.get_running_loop().time
    async with StatusApi(grpc) as api:
        with CountBar(bulk.verb, len(jobs)) as bar:
            next_at = clock()
            for job in reversed(jobs):
                await asyncio.sleep(next_at - clock())
                next_at = max(next_at, clock() - 1) + 1 / rate
                try:
                    result = await _change(api, bulk, job)
                except StatusApiError as error:
                    result = f"failed: {error.message}"
                    all_changed = False
                results[result] += 1
                bar.advance()
    return all_changed


async def _change(api: StatusApi, bulk: Bulk, job: pb.Job) -> str:
    for _ in range(TRIES - 1):
        try:
            return await bulk.change(api, job)
        except UnavailableError:
            await asyncio.sleep(RETRY_S)
    return await bulk.change(api, job)
