"""gRPC errors: a canonical code, and a `google.rpc.ErrorInfo` with a reason."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyProto
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.facade.controls import InvalidJobTypeError, UnknownJobTypeError
from fabric_jobs.facade.jobs.errors import RefusedError, as_unavailable
from fabric_jobs.facade.lifecycle import Reason

DOMAIN = "fabric-jobs"
#: Bound of the message of an error, in bytes of UTF-8. A message may repeat what a client sent.
#: gRPC sends it twice in the metadata of the call, escaped, and clients refuse more than 8 KiB of
#: metadata.
MAX_MESSAGE_BYTES = 1024
#: The error for each reason for which a unary method refuses a call.
_REFUSALS = {
    Reason.NOT_FOUND: (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "No such job is known."),
    Reason.NOT_FINAL: (
        grpc.StatusCode.FAILED_PRECONDITION,
        "JOB_NOT_FINAL",
        "The job is not final. Cancel it or wait for its end, then retry it.",
    ),
    Reason.CONFLICT: (
        grpc.StatusCode.ALREADY_EXISTS,
        "JOB_CONFLICT",
        "A job with the new id and other content exists. Choose another id.",
    ),
}

Context = grpc.aio.ServicerContext[Any, Any]


async def abort(
    context: Context,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
) -> NoReturn:
    """Ends the call with a code and a message, and with an `ErrorInfo` of this reason.

    A message above `MAX_MESSAGE_BYTES` is cut.
    """
    message = _cut(message)
    detail = AnyProto()
    detail.Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    status = Status(code=code.value[0], message=message, details=[detail])
    await context.abort(code, message, (("grpc-status-details-bin", status.SerializeToString()),))


async def abort_refused(context: Context, reason: Reason) -> NoReturn:
    """Ends the call that the job's state refuses."""
    await abort(context, *_REFUSALS[reason])


async def abort_invalid(context: Context, reason: str, message: str) -> NoReturn:
    """Ends the call because its request is wrong; the message says what is right."""
    await abort(context, grpc.StatusCode.INVALID_ARGUMENT, reason, message)


@asynccontextmanager
async def map_errors(context: Context) -> AsyncIterator[None]:
    """Ends the call with the gRPC error of what the log, the replica or `Jobs` raises inside."""
    try:
        yield
    except RefusedError as refused:
        await abort_refused(context, refused.reason)
    except InvalidJobTypeError as error:
        await abort_invalid(context, "INVALID_JOB_TYPE", str(error))
    except UnknownJobTypeError as error:
        await abort(context, grpc.StatusCode.NOT_FOUND, "JOB_TYPE_NOT_FOUND", str(error))
    except Exception as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        reason = unavailable.reason
        await abort(context, grpc.StatusCode.UNAVAILABLE, reason, str(unavailable))


def _cut(message: str) -> str:
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return message
    end = "…"
    return encoded[: MAX_MESSAGE_BYTES - len(end.encode())].decode(errors="ignore") + end
