"""The job as its handler sees it."""

import logging
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from fabric_jobs.contract.definitions import ItemDefinition
from fabric_jobs.contract.jobs import MAX_PROGRESS_CHARS, InvokeType, Progress
from fabric_jobs.contract.wire import utf8_text
from fabric_jobs.executor.access_tokens import (
    FABRIC_SCOPE,
    AccessToken,
    AsyncCredential,
    Credential,
    PendingText,
    RequestToken,
    TokenKind,
)
from fabric_jobs.executor.checkpoints import decode_checkpoint, encode_checkpoint
from fabric_jobs.executor.errors import AccessTokenError, JobStopped

T = TypeVar("T")
V = TypeVar("V")
#: Covariant, so that a handler that uses no resources can be registered with any executor.
R_co = TypeVar("R_co", covariant=True, default=object)
log = logging.getLogger("fabric_jobs.executor")

_WORKLOAD_HEADER = 'SubjectAndAppToken1.0 subjectToken="{subject}", appToken="{app}"'


class _YieldToLoop:
    """An awaitable that lets the event loop run its other tasks once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


#: What `Job.progress` returns. A caller that does not await it gets no warning.
_YIELD_TO_LOOP = _YieldToLoop()


def _not_cancelled() -> bool:
    """The default of `cancel_requested`, for a test that creates a `Job` itself."""
    return False


def _discard_progress(progress: Progress) -> None:
    """The default of `progress`, for a test that creates a `Job` itself."""


def _discard_checkpoint(checkpoint: bytes) -> None:
    """The default of `save_checkpoint`, for a test that creates a `Job` itself."""


def _refuse_token(kind: TokenKind, scope: str, claims: str) -> "Future[AccessToken]":
    """The default of `access_token`, for a test that creates a `Job` itself."""
    refused: Future[AccessToken] = Future()
    text = "This job is a test's own, so it gets no tokens. Use fabric_jobs.executor.testing."
    refused.set_exception(AccessTokenError(text, code="NoUserToken", permanent=True))
    return refused


@dataclass(frozen=True, kw_only=True)
class Job(Generic[T, R_co]):
    """One attempt of a job. The executor passes it to the handler.

    `Job[Payload]` is the job of a handler that does not use the lifespan's value, and
    `Job[Payload, Resources]` the job of a handler that does.
    """

    #: The creation payload, decoded to the handler's payload type.
    payload: T
    #: The job instance id.
    job_id: str
    #: The number of this attempt, from 1. It rises each time that the job is dispatched.
    attempt: int
    #: The item type, as the workload's manifest names it.
    item_type: str
    #: The job type, as the workload's manifest names it.
    job_type: str
    workspace_id: str
    item_id: str
    tenant_id: str
    #: The item's definition, which Fabric can send with a request of the remote-jobs family. `None`
    #: if the request had none.
    definition: ItemDefinition | None = None
    #: Who asked for the job: a user (`MANUAL`) or a schedule (`SCHEDULED`).
    invoke_type: InvokeType = InvokeType.MANUAL
    #: Fabric's `ActivityId` and `RequestId` of the request that created the job.
    activity_id: str | None = None
    request_id: str | None = None
    #: W3C Trace Context of the request that created the job. `None` if the request had none.
    traceparent: str | None = None
    #: The value of the executor's lifespan. `None` if the executor has no lifespan.
    resources: R_co = field(default=cast(Any, None), repr=False)

    _checkpoint: bytes | None = field(default=None, repr=False)
    _save_checkpoint: Callable[[bytes], None] = field(default=_discard_checkpoint, repr=False)
    _is_cancelled: Callable[[], bool] = field(default=_not_cancelled, repr=False)
    _report: Callable[[Progress], None] = field(default=_discard_progress, repr=False)
    _request_token: RequestToken = field(default=_refuse_token, repr=False)

    def access_token(self, scope: str) -> PendingText:
        """Gets an access token of the user who requested the job, as long as the job runs.

        `scope` is that of the resource, such as `https://storage.azure.com/.default` for OneLake.
        The token is valid for at least some minutes: ask again for each use, and keep no token.

        Await the result in an `async def` handler. A `def` handler calls `.result()` on it. Raises
        `AccessTokenError`. Do not log the token.
        """
        return PendingText([self._request_token(TokenKind.USER, scope, "")], "".join)

    def app_access_token(self, scope: str) -> PendingText:
        """Gets an access token of the workload itself, in its publisher's tenant.

        Use it as the result of `access_token`.
        """
        return PendingText([self._request_token(TokenKind.APP, scope, "")], "".join)

    def workload_authorization(self, scope: str = FABRIC_SCOPE) -> PendingText:
        """Gets the `Authorization` header of a call to Fabric's workload-control API.

        The header has both tokens: `SubjectAndAppToken1.0 subjectToken="…", appToken="…"`. Use it
        as the result of `access_token`.
        """
        tokens = [self._request_token(kind, scope, "") for kind in (TokenKind.USER, TokenKind.APP)]
        return PendingText(
            tokens, lambda both: _WORKLOAD_HEADER.format(subject=both[0], app=both[1])
        )

    def credential(self) -> Credential:
        """Returns a token credential of the user for the Azure SDK, for use in threads.

        A `def` handler uses it, and an `async def` handler in `asyncio.to_thread`.
        """
        return Credential(self._request_token)

    def async_credential(self) -> AsyncCredential:
        """Returns a token credential of the user for the clients of the Azure SDK's `aio` modules.

        An `async def` handler uses it.
        """
        return AsyncCredential(self._request_token)

    @property
    def cancel_requested(self) -> bool:
        """True if the handler should end now.

        The reason is a user's cancel, a run timeout, the stop of the executor, or the loss of the
        job to another executor. A `def` handler checks this property regularly and then raises
        `JobStopped`. An `async def` handler gets `asyncio.CancelledError` instead.
        """
        return self._is_cancelled()

    def raise_if_cancelled(self) -> None:
        """Raises `JobStopped` if `cancel_requested` is true. A `def` handler calls it regularly."""
        if self.cancel_requested:
            raise JobStopped

    def progress(self, fraction: float, message: str = "") -> Awaitable[None]:
        """Reports how far the run is.

        `fraction` is a number from 0 to 1. A number outside this range becomes the nearer limit.
        A value that is no number is not reported, and a warning is logged, because progress never
        fails a job.
        `message` is a text for people, cut to 1,024 characters. A character that UTF-8 can't
        encode becomes `?`; a file name can have one. The job monitor and `fabric-jobs` show both
        arguments; Fabric does not.

        The executor sends only the latest progress, and at most one a second. Await the result in
        an `async def` handler, so that the event loop can run other tasks. A `def` handler calls
        the method without awaiting, from any thread.
        """
        try:
            # This order of arguments turns NaN into 0.
            progress = Progress(
                min(1.0, max(0.0, float(fraction))), utf8_text(str(message)[:MAX_PROGRESS_CHARS])
            )
        except Exception as error:  # also what a `__str__` of the author's raises
            log.warning("progress is not reported, because its arguments are wrong: %s", error)
        else:
            self._report(progress)
        return _YIELD_TO_LOOP

    def save_checkpoint(self, value: object) -> Awaitable[None]:
        """Saves a value that the next attempt gets from `checkpoint`, whichever executor runs it.

        `value` is anything that msgspec encodes as JSON, at most 16 KiB. It replaces the last one.

        The executor sends only the latest value, and at most one a second. It sends the last one
        before the attempt ends. If the executor is killed, the next attempt gets the last value
        that was sent. Await the result in an `async def` handler, as that of `progress`. A `def`
        handler calls the method without awaiting, from any thread.

        Raises `CheckpointError` if the value is no JSON or is too large.
        """
        self._save_checkpoint(encode_checkpoint(value))
        return _YIELD_TO_LOOP

    def checkpoint(self, value_type: type[V]) -> V | None:
        """Returns the last value that an earlier attempt saved, or `None` if none did.

        A saved `None` is `None` for every type, so a handler can drop its checkpoint.

        Raises `CheckpointError` if the value is not of the type.
        """
        saved = self._checkpoint
        return None if saved in (None, b"null") else decode_checkpoint(saved, value_type)
