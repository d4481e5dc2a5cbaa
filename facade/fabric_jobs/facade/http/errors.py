"""Maps every error to Fabric's `ErrorResponse`, by one table of error codes."""

import base64
import logging
import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.errors import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.facade import metrics
from fabric_jobs.facade.auth import AuthError, AuthorityError
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason, as_unavailable
from fabric_jobs.facade.on_behalf_of.errors import Interaction, InteractionRequiredError
from fabric_jobs.facade.on_behalf_of.interaction import (
    INTERACTION_MESSAGE,
    interaction_details,
)
from fabric_jobs.runtime.telemetry.logs import bound_ids

log = logging.getLogger("fabric_jobs.http")

#: The `Retry-After` of 429 and 503, in seconds.
RETRY_AFTER_S = 5
#: A character that is removed from a quoted text in a header.
_UNQUOTABLE = re.compile(r"[^\w.-]", re.ASCII)


class Meaning(NamedTuple):
    """An error code's HTTP status and source, and whether a repeated request must fail again."""

    status: int
    source: ErrorSource
    permanent: bool


class Code(StrEnum):
    """The values of `errorCode`."""

    INVALID_REQUEST = "InvalidRequest"
    AUTH_ERROR = "AuthError"
    AUTH_UI_REQUIRED = "AuthUIRequired"
    JOB_NOT_FOUND = "JobNotFound"
    ITEM_TYPE_NOT_SERVED = "ItemTypeNotServed"
    JOB_TYPE_NOT_SERVED = "JobTypeNotServed"
    ROUTE_NOT_FOUND = "RouteNotFound"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    JOB_CONFLICT = "JobConflict"
    REQUEST_TIMEOUT = "RequestTimeout"
    REQUEST_TOO_LARGE = "RequestTooLarge"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    HEADERS_TOO_LARGE = "HeadersTooLarge"
    TOO_MANY_REQUESTS = "TooManyRequests"
    INTERNAL_ERROR = "InternalError"
    UNAVAILABLE = "Unavailable"


MEANINGS = {
    Code.INVALID_REQUEST: Meaning(400, ErrorSource.USER, True),
    Code.AUTH_ERROR: Meaning(401, ErrorSource.EXTERNAL, True),
    Code.AUTH_UI_REQUIRED: Meaning(401, ErrorSource.SYSTEM, False),
    Code.JOB_NOT_FOUND: Meaning(404, ErrorSource.USER, True),
    Code.ITEM_TYPE_NOT_SERVED: Meaning(404, ErrorSource.USER, True),
    Code.JOB_TYPE_NOT_SERVED: Meaning(404, ErrorSource.USER, True),
    Code.ROUTE_NOT_FOUND: Meaning(404, ErrorSource.USER, True),
    Code.METHOD_NOT_ALLOWED: Meaning(405, ErrorSource.USER, True),
    Code.JOB_CONFLICT: Meaning(409, ErrorSource.USER, True),
    Code.REQUEST_TIMEOUT: Meaning(408, ErrorSource.USER, False),
    Code.REQUEST_TOO_LARGE: Meaning(413, ErrorSource.USER, True),
    Code.UNSUPPORTED_MEDIA_TYPE: Meaning(415, ErrorSource.USER, True),
    Code.HEADERS_TOO_LARGE: Meaning(431, ErrorSource.USER, True),
    Code.TOO_MANY_REQUESTS: Meaning(429, ErrorSource.USER, False),
    Code.INTERNAL_ERROR: Meaning(500, ErrorSource.SYSTEM, False),
    Code.UNAVAILABLE: Meaning(503, ErrorSource.SYSTEM, False),
}

#: The codes of errors that Litestar raises itself, by HTTP status.
_FRAMEWORK = {404: Code.ROUTE_NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.REQUEST_TOO_LARGE}
_ADVICE = {
    Code.ROUTE_NOT_FOUND: "No such route. Check the path and the base path.",
    Code.METHOD_NOT_ALLOWED: "This path does not take this method.",
    Code.REQUEST_TOO_LARGE: "The body is too large. Pass large data by reference.",
}


class HttpError(Exception):
    """The request is answered with this error code."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def _request_ids() -> tuple[ErrorExtendedInformation, ...]:
    """The detail with the correlation ids of the current request; empty if it has none."""
    ids = tuple(NameValuePair(name, value) for name, value in bound_ids().items())
    if not ids:
        return ()
    return (
        ErrorExtendedInformation(
            error_code="RequestIds",
            message="Quote these when asking about this request.",
            additional_parameters=ids,
        ),
    )


def _unavailable_reason(reason: UnavailableReason) -> ErrorExtendedInformation:
    """The detail that tells a program why the answer is 503."""
    return ErrorExtendedInformation(
        error_code="UnavailableReason",
        message="Why this request can't be answered now.",
        additional_parameters=(NameValuePair("reason", reason),),
    )


def _challenge(interaction: Interaction) -> str:
    """The value of `WWW-Authenticate` that tells a front end which token to get."""
    claims = base64.b64encode(interaction.claims.encode()).decode()
    error = _UNQUOTABLE.sub("", interaction.error)
    return f'Bearer claims="{claims}", error="{error}"'


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to any error: of routing, of a request, of the log, or of this program."""
    headers: dict[str, str] = {}
    details = _request_ids()
    error = as_unavailable(error) or error
    match error:
        case HttpError(code=code):
            message = str(error)
        case AuthError():
            code, message = Code.AUTH_ERROR, str(error)
        case InteractionRequiredError(interaction=interaction):
            code, message = Code.AUTH_UI_REQUIRED, INTERACTION_MESSAGE
            headers["WWW-Authenticate"] = _challenge(interaction)
            details = (interaction_details(interaction), *details)
        case UnavailableError(reason=reason):
            code, message = Code.UNAVAILABLE, str(error)
            details = (_unavailable_reason(reason), *details)
        case AuthorityError():
            reason = UnavailableReason.AUTHORITY_UNREACHABLE
            metrics.UNAVAILABLE.add(1, reason)
            code, message = Code.UNAVAILABLE, str(error)
            details = (_unavailable_reason(reason), *details)
        case HTTPException(status_code=status) if status < 500:
            code = _FRAMEWORK.get(status, Code.INVALID_REQUEST)
            message = _ADVICE.get(code, error.detail)
            headers.update(error.headers or {})
        case _:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
            code, message = Code.INTERNAL_ERROR, "This is a fault of the service, and was logged."
    answer = _answer(code, message, details)
    return Response(
        answer.body,
        status_code=answer.status,
        media_type="application/json",
        headers={**answer.headers, **headers},
    )


class _Answer(NamedTuple):
    """An error as an HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _answer(code: Code, message: str, details: tuple[ErrorExtendedInformation, ...]) -> _Answer:
    meaning = MEANINGS[code]
    headers: dict[str, str] = {}
    if meaning.status == 401:
        headers["WWW-Authenticate"] = "SubjectAndAppToken1.0"
    if meaning.status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    body = ErrorResponse(
        error_code=code,
        message=message,
        source=meaning.source,
        is_permanent=meaning.permanent,
        more_details=details,
    )
    return _Answer(meaning.status, headers, msgspec.json.encode(body))


def error_response(code: Code, message: str) -> ASGIResponse:
    """The answer to a request that no route has, with the request's ids."""
    answer = _answer(code, message, _request_ids())
    return ASGIResponse(body=answer.body, status_code=answer.status, headers=dict(answer.headers))


def raw_answer(code: Code, message: str) -> bytes:
    """The answer of the server itself, as bytes: the request did not reach the application.

    Such an answer is the last one on its connection.
    """
    details: tuple[ErrorExtendedInformation, ...] = ()
    if code is Code.UNAVAILABLE:
        details = (_unavailable_reason(UnavailableReason.OVERLOADED),)
        metrics.UNAVAILABLE.add(1, UnavailableReason.OVERLOADED)
    status, headers, body = _answer(code, message, details)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name.lower()}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
