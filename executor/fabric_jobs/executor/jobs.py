"""The job as its handler sees it."""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fabric_jobs.contract.jobs import InvokeType, Progress

T = TypeVar("T")


class _Turn:
    """What `progress` returns: awaiting it gives the event loop a turn, ignoring it is fine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


_TURN = _Turn()


def _never() -> bool:
    """Whether a run should end outside an executor."""
    return False


def _nowhere(progress: Progress) -> None:
    """Where progress goes outside an executor, as in a test that calls a handler."""


@dataclass(frozen=True, kw_only=True)
class Job(Generic[T]):
    """One attempt of a job, handed to its handler."""

    #: The creation payload, decoded to the handler's payload type.
    payload: T
    #: The job instance id.
    job_id: str
    #: From 1; rises each time that the job is dispatched.
    attempt: int
    #: The item's type, as the workload's manifest names it.
    item_type: str
    #: The job's type, as the workload's manifest names it.
    job_type: str
    workspace_id: str
    item_id: str
    tenant_id: str
    #: Who asked for the job.
    invoke_type: InvokeType = InvokeType.MANUAL
    #: Fabric's `ActivityId` and `RequestId` of the request that created the job.
    activity_id: str | None = None
    request_id: str | None = None
    #: W3C Trace Context of the request that created the job, where there was one.
    traceparent: str | None = None
    _is_cancelled: Callable[[], bool] = field(default=_never, repr=False)
    _report: Callable[[Progress], None] = field(default=_nowhere, repr=False)

    @property
    def cancel_requested(self) -> bool:
        """Whether the run should end: a function that is not `async` asks now and then."""
        return self._is_cancelled()

    def progress(self, fraction: float, message: str = "") -> Awaitable[None]:
        """Says how far the run is: a fraction, kept between 0 and 1, and a text for people.

        Await it in an `async` handler; call it plainly from any thread. It never fails a job:
        the latest value wins, and at most one a second is sent.
        """
        # In this order of arguments NaN becomes 0.
        self._report(Progress(min(1.0, max(0.0, float(fraction))), str(message)))
        return _TURN
