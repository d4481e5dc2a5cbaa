"""The gRPC status API: decode, call, encode. No decision about a job's state is made here."""

from facade.rpc.server import RpcServer

__all__ = ["RpcServer"]
