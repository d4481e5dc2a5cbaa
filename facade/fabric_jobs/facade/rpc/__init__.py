"""The gRPC status API. It decodes, calls and encodes; it decides nothing about a job's state."""

from fabric_jobs.facade.rpc.authorization import RpcRole
from fabric_jobs.facade.rpc.replica_service import ReplicaService
from fabric_jobs.facade.rpc.server import RpcSecurity, RpcServer
from fabric_jobs.facade.rpc.tls import ServerCertificates

__all__ = ["ReplicaService", "RpcRole", "RpcSecurity", "RpcServer", "ServerCertificates"]
