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
from fabric_jobs.contract.heartbeats import (
    MAX_CERTIFICATE_NAME_CHARS,
    MAX_CERTIFICATE_NAMES,
    ExecutorHeartbeat,
)
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
    FACADES = "facades"


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
    "GetAccessToken": frozenset({RpcRole.EXECUTORS}),
    "CopyReplica": frozenset({RpcRole.FACADES}),
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
        names = names_of(context)
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
    """The caller's name for people: the one that it gives, and the one in its certificate."""
    given = " ".join(given[:MAX_NAME_CHARS].split())
    names = sorted(names_of(context))
    certificate = f"certificate {names[0]}" if names else ""
    both = f"{given} ({certificate})" if given and certificate else given or certificate
    return both[:MAX_NAME_CHARS]


def names_of(context: Context) -> set[str]:
    """The names in the client's certificate; empty without mutual TLS."""
    known = context.auth_context()
    return {
        name.decode(errors="replace")
        for kind in _NAME_KINDS
        for name in known.get(kind, ())
        if name
    }


def kept_names(context: Context) -> tuple[str, ...]:
    """The names in the client's certificate that a heartbeat has room for."""
    names = sorted(name for name in names_of(context) if len(name) <= MAX_CERTIFICATE_NAME_CHARS)
    return tuple(names[:MAX_CERTIFICATE_NAMES])


def is_of_executor(names: Collection[str], heartbeat: ExecutorHeartbeat | None) -> bool:
    """Whether a client with these names may be the executor of the heartbeat.

    An executor keeps a name when its certificate is renewed. Without mutual TLS nobody has names,
    and any client may be.
    """
    if heartbeat is None or not heartbeat.names:
        return True
    return bool(set(heartbeat.names) & set(names))
