"""`GetAccessToken`: only the executor that holds the attempt gets a token.

An executor holds the attempt if the fold of the whole log says so, and if its certificate has a
name that the certificate of its session had.
"""

import time
from typing import NoReturn

import grpc

from fabric_jobs.facade import metrics
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.on_behalf_of import InteractionRequiredError, OnBehalfOf, TokenError
from fabric_jobs.facade.on_behalf_of.errors import NoGrantError
from fabric_jobs.facade.on_behalf_of.interaction import interaction_values
from fabric_jobs.facade.on_behalf_of.token import Token
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.authorization import is_of_executor, names_of
from fabric_jobs.facade.rpc.bounds import OutOfBoundsError, check_token_request
from fabric_jobs.facade.rpc.errors import Context, abort, abort_invalid
from fabric_jobs.status.v1 import job_status_pb2 as pb

_KINDS = {pb.TOKEN_KIND_UNSPECIFIED: "user", pb.TOKEN_KIND_USER: "user", pb.TOKEN_KIND_APP: "app"}


class AccessTokens:
    """Answers the requests of executors for access tokens, and counts them by their outcome."""

    def __init__(self, jobs: Jobs, roster: Roster, on_behalf_of: OnBehalfOf | None) -> None:
        """Without `on_behalf_of` there are no tokens."""
        self._jobs = jobs
        self._roster = roster
        self._on_behalf_of = on_behalf_of

    async def get(
        self, request: pb.GetAccessTokenRequest, context: Context
    ) -> pb.GetAccessTokenResponse:
        """Returns the token, or ends the call with an error."""
        try:
            job_id, attempt = check_token_request(request)
        except OutOfBoundsError as error:
            await abort_invalid(context, "OUT_OF_BOUNDS", f"The request is out of bounds: {error}.")
        kind = _KINDS.get(request.kind)
        if kind is None:
            await abort_invalid(context, "UNKNOWN_KIND", f"There is no kind {request.kind}.")
        try:
            job = await self._held_job(job_id, attempt, request.executor_id, context)
            if job is None:
                metrics.ACCESS_TOKENS.add(1, kind, "not_holder")
                await abort(
                    context,
                    grpc.StatusCode.PERMISSION_DENIED,
                    "NOT_HOLDER",
                    f"The executor {request.executor_id} does not hold attempt {attempt} of "
                    f"the job {job_id}.",
                )
            if self._on_behalf_of is None:
                await self._refuse(
                    context,
                    "ON_BEHALF_OF_OFF",
                    "This facade gets no tokens. Set FABRIC_JOBS_CLIENT_SECRET, or "
                    "FABRIC_JOBS_CLIENT_CERTIFICATE_FILE, for every facade. Or start "
                    "`fabric-jobs dev` with --on-behalf-of.",
                    kind,
                )
            if kind == "app":
                token = await self._on_behalf_of.app_token(request.scope)
            else:
                token = await self._on_behalf_of.user_token(job, request.scope, request.claims)
        except InteractionRequiredError as error:
            values = dict(interaction_values(error.interaction))
            values["error"] = error.interaction.error
            await self._refuse(context, "AUTH_UI_REQUIRED", str(error), kind, values)
        except TokenError as error:
            reason = "NO_USER_TOKEN" if isinstance(error, NoGrantError) else "TOKEN_REFUSED"
            await self._refuse(context, reason, str(error), kind)
        metrics.ACCESS_TOKENS.add(1, kind, "given")
        return _to_proto(token)

    async def _held_job(
        self, job_id: str, attempt: int, executor_id: str, context: Context
    ) -> Job | None:
        """The job if the caller is the executor that holds this attempt of it.

        Raises `UnavailableError` if that can't be told now.
        """
        stored = await self._jobs.read(job_id)
        if stored is None:
            return None
        state = stored.job.state
        if not (state.held and state.attempt == attempt and state.executor_id == executor_id):
            return None
        if names := names_of(context):
            heartbeat = self._roster.find(executor_id)
            if heartbeat is None:
                raise UnavailableError(
                    UnavailableReason.LOG_UNREACHABLE,
                    "This facade has not read the executor's heartbeat yet. Ask again.",
                )
            if not is_of_executor(names, heartbeat):
                return None
        return stored.job

    async def _refuse(
        self,
        context: Context,
        reason: str,
        message: str,
        kind: str,
        metadata: dict[str, str] | None = None,
    ) -> NoReturn:
        metrics.ACCESS_TOKENS.add(1, kind, reason.lower())
        await abort(context, grpc.StatusCode.FAILED_PRECONDITION, reason, message, metadata)


def _to_proto(token: Token) -> pb.GetAccessTokenResponse:
    response = pb.GetAccessTokenResponse(access_token=token.access_token.reveal())
    left_s = max(token.expires_at - time.time(), 0.0)
    response.expires_in.FromMilliseconds(int(left_s * 1000))
    return response
