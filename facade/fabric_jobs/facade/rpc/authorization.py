"""Authorization: which names in a client's certificate may call which method.

The names are the certificate's subject alternative names of the kinds DNS and URI. A URI contains a
scheme, so that no name of one kind can be mistaken for one of the other. The common name, e-mail
and IP addresses are no names. The standard services, health and reflection, need a certificate and
no role.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum

import grpc

from fabric_jobs.contract.controls import MAX_NAME_CHARS
from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.facade.rpc.interceptor import CallInterceptor
from fabric_jobs.runtime.settings import variable

#: gRPC's properties of a client's certificate that hold its names.
_NAME_KINDS = ("peer_dns", "peer_uri")


class RpcRole(StrEnum):
    """The role of a client. The setting `grpc_<role>` lists the names that have it."""

    EXECUTORS = "executors"
    READERS = "readers"
    OPERATORS = "operators"


#: The roles that may call each method.
ROLES: Mapping[str, frozenset[RpcRole]] = {
    "Session": frozenset({RpcRole.EXECUTORS}),
    "GetJob": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "ListJobs": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "WatchJobs": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "ListExecutors": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "ListJobTypes": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "PauseJobType": frozenset({RpcRole.OPERATORS}),
    "ResumeJobType": frozenset({RpcRole.OPERATORS}),
    "CancelJob": frozenset({RpcRole.OPERATORS}),
    "RetryJob": frozenset({RpcRole.OPERATORS}),
}


class AuthorizationInterceptor(CallInterceptor):
    """Refuses calls of clients whose names have none of the method's roles."""

    wraps_streams = True

    def __init__(self, names: Mapping[RpcRole, Collection[str]]) -> None:
        """`names` holds the names that have each role."""
        self._names = names

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Checks the client's role before the call runs."""
        await self._check(method, context)
        yield

    async def _check(self, method: str, context: Context) -> None:
        names = _names_of(context)
        if not names:
            await abort(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                "NO_NAME",
                "The client's certificate has no subject alternative name of the kind DNS or URI: "
                "issue one that has. The common name does not count.",
            )
        roles = ROLES[method]
        if not any(names.intersection(self._names[role]) for role in roles):
            settings = " or ".join(variable(f"grpc_{role}") for role in sorted(roles))
            await abort(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                "NOT_ALLOWED",
                f"{method} is not allowed to {', '.join(sorted(names))}: add a name of its "
                f"certificate to the facade's {settings}.",
            )


def caller_name(context: Context, given: str) -> str:
    """The name of the caller for the record: what it says of itself, and its certificate's name."""
    given = " ".join(given.split())
    names = sorted(_names_of(context))
    certificate = f"certificate {names[0]}" if names else ""
    both = f"{given} ({certificate})" if given and certificate else given or certificate
    return both[:MAX_NAME_CHARS]


def _names_of(context: Context) -> set[str]:
    known = context.auth_context()
    return {
        name.decode(errors="replace")
        for kind in _NAME_KINDS
        for name in known.get(kind, ())
        if name
    }
