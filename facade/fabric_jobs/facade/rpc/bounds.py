"""The bounds of what an executor sends on its stream. The comments of the .proto name them too.

A message that is outside ends the stream with `INVALID_ARGUMENT`. A claim or report that is outside
is refused as `REFUSAL_REASON_INVALID`, so that the other entries of its message are decided.
"""

from collections.abc import Iterable, Sequence

from fabric_jobs.contract.dispatch_order import MAX_PRIORITY, MIN_PRIORITY
from fabric_jobs.contract.failures import find_run_timeout_fault
from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.contract.heartbeats import MAX_JOB_TYPES, MAX_SLOTS, Run
from fabric_jobs.contract.scalars import MAX_COUNT, MAX_NAME_CHARS
from fabric_jobs.contract.topics import canonical_job_id
from fabric_jobs.facade.on_behalf_of.scopes import find_reserved_scope
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bound of the claims and reports in one message.
MAX_ENTRIES = 20_000
#: Bound of an offset. A position is the offset plus one, and has 64 bits with a sign.
MAX_OFFSET = 2**63 - 2
#: Bounds of a `ListJobs` request: its statuses, and the characters of a page token.
MAX_STATUSES = 16
MAX_PAGE_TOKEN_CHARS = 8192
#: Bounds of a request for an access token: the characters of its scope, the bytes of its claims.
MAX_SCOPE_CHARS = 512
MAX_CLAIMS_BYTES = 8192


class OutOfBoundsError(ValueError):
    """A message or an entry is out of bounds. The error's text names the field and the bound."""


class RunTimeoutError(ValueError):
    """A handler's run timeout is beyond the longest life of a job. The text says both."""


def check_hello(hello: pb.Hello) -> None:
    """Raises `OutOfBoundsError`."""
    _check_name("executor_id", hello.executor_id)
    _check_name("pool", hello.pool, least=0)
    _check_name("version", hello.version, least=0)
    if not 0 <= hello.slots <= MAX_SLOTS:
        raise OutOfBoundsError(f"slots must be from 0 to {MAX_SLOTS}")
    _check_job_types("job_types", hello.job_types)
    for kind in hello.job_types:
        if kind.priority and not MIN_PRIORITY <= kind.priority <= MAX_PRIORITY:
            raise OutOfBoundsError(
                f"job_types.priority must be from {MIN_PRIORITY} to {MAX_PRIORITY}, or 0"
            )


def check_run_timeouts(hello: pb.Hello, longest_life_s: int) -> None:
    """Raises `RunTimeoutError` if a handler may run for longer than the service lets a job live."""
    for kind in hello.job_types:
        timeout_s = kind.run_timeout.seconds + kind.run_timeout.nanos / 1e9
        names = kind.item_type, kind.job_type
        if fault := find_run_timeout_fault(*names, timeout_s, longest_life_s):
            raise RunTimeoutError(fault)


def check_message(message: pb.SessionRequest) -> None:
    """Raises `OutOfBoundsError` if a message without its claims and reports is out of bounds."""
    if len(message.claims) + len(message.reports) > MAX_ENTRIES:
        raise OutOfBoundsError(f"a message may hold {MAX_ENTRIES} claims and reports at most")
    heartbeat = message.heartbeat
    for name in ("free_slots", "hung_slots"):
        if not 0 <= getattr(heartbeat, name) <= MAX_SLOTS:
            raise OutOfBoundsError(f"heartbeat.{name} must be from 0 to {MAX_SLOTS}")
    _check_job_types("heartbeat.full_job_types", heartbeat.full_job_types)
    for name in ("runs", "claims"):
        if len(getattr(heartbeat, name)) > MAX_SLOTS:
            raise OutOfBoundsError(f"heartbeat.{name} may hold {MAX_SLOTS} runs at most")


def parse_runs(name: str, runs: Iterable[pb.Run]) -> list[Run]:
    """Returns the runs of a heartbeat, with ids in lower case. Raises `OutOfBoundsError`."""
    try:
        return [Run(canonical_guid(run.job_id), _attempt(run.attempt)) for run in runs]
    except ValueError as error:
        raise OutOfBoundsError(f"heartbeat.{name} holds a run that is none: {error}") from None


def check_token_request(request: pb.GetAccessTokenRequest) -> tuple[str, int]:
    """Returns the canonical job id and the attempt of a request. Raises `OutOfBoundsError`."""
    _check_name("executor_id", request.executor_id)
    _check_name("scope", request.scope, most=MAX_SCOPE_CHARS)
    if reserved := find_reserved_scope(request.scope):
        raise OutOfBoundsError(
            f"scope must be that of a resource, and {reserved} belongs to no resource"
        )
    if len(request.claims.encode()) > MAX_CLAIMS_BYTES:
        raise OutOfBoundsError(f"claims may have {MAX_CLAIMS_BYTES} bytes at most")
    try:
        return canonical_job_id(request.job_id), _attempt(request.attempt)
    except ValueError as error:
        raise OutOfBoundsError(str(error)) from None


def parse_attempt(entry: pb.Claim | pb.Report) -> tuple[str, int]:
    """Returns the canonical job id and the attempt of a claim or report. Raises `ValueError`."""
    record = entry.record if isinstance(entry, pb.Claim) else entry.grant
    if len(record.event_id) > MAX_NAME_CHARS:
        raise OutOfBoundsError(f"the record's event_id has more than {MAX_NAME_CHARS} characters")
    if record.partition < 0 or not 0 <= record.offset <= MAX_OFFSET:
        raise OutOfBoundsError(f"the record's partition and offset must be from 0 to {MAX_OFFSET}")
    return canonical_job_id(entry.job_id), _attempt(entry.attempt)


def _attempt(attempt: int) -> int:
    if attempt < 1:
        raise OutOfBoundsError(f"an attempt must be from 1 to {MAX_COUNT}")
    return attempt


def _check_job_types(name: str, job_types: Sequence[pb.JobType]) -> None:
    if len(job_types) > MAX_JOB_TYPES:
        raise OutOfBoundsError(f"{name} may hold {MAX_JOB_TYPES} job types at most")
    for kind in job_types:
        _check_name(f"{name}.item_type", kind.item_type)
        _check_name(f"{name}.job_type", kind.job_type)


def _check_name(name: str, text: str, least: int = 1, most: int = MAX_NAME_CHARS) -> None:
    if not least <= len(text) <= most:
        raise OutOfBoundsError(f"{name} must have {least} to {most} characters")
    # Names go into log lines, metrics and tables.
    if not text.isprintable():
        raise OutOfBoundsError(f"{name} must not have control characters")
