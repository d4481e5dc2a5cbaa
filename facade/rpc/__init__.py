"""The gRPC status API: decode, call, encode. No decision about a job's state is made here."""

from facade.rpc.access import Role
from facade.rpc.server import RpcSecurity, RpcServer

__all__ = ["Role", "RpcSecurity", "RpcServer"]
