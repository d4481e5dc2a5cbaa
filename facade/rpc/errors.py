"""gRPC errors: a canonical code with a reason, as `google.rpc.ErrorInfo`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyProto
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from facade.log import LogUnavailableError

DOMAIN = "fabric-jobs"

Context = grpc.aio.ServicerContext[Any, Any]


async def abort(
    context: Context,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
) -> NoReturn:
    """Ends the call with the code, and the reason where clients look for it."""
    detail = AnyProto()
    detail.Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    status = Status(code=code.value[0], message=message, details=[detail])
    await context.abort(code, message, (("grpc-status-details-bin", status.SerializeToString()),))


@asynccontextmanager
async def answered(context: Context) -> AsyncIterator[None]:
    """Turns what the log raises into its answer."""
    try:
        yield
    except LogUnavailableError as error:
        await abort(context, grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", str(error))
