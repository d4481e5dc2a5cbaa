"""The gRPC status API: decode, call, encode. No decision about a job's state is made here."""

from fabric_jobs.facade.rpc.authorization import RpcRole
from fabric_jobs.facade.rpc.server import RpcSecurity, RpcServer

__all__ = ["RpcRole", "RpcSecurity", "RpcServer"]
