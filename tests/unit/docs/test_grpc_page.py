"""docs/grpc.md has the methods and roles of the code."""

import re

from fabric_jobs.facade.rpc.authorization import ROLES
from fabric_jobs.runtime import channels
from fabric_jobs.status.v1 import job_status_pb2, replica_pb2
from tests.support.pages import section
from tests.support.paths import ROOT

PAGE = "docs/grpc.md"


def test_method_table_equals_the_roles_in_the_code() -> None:
    """Every method of the service is listed, with the roles that may call it."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", section(PAGE, "Who may call"), re.M)

    assert {method: set(roles.split(", ")) for method, roles in rows} == ROLES
    methods = set[str]()
    for file in (job_status_pb2, replica_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            methods |= set(service.methods_by_name)
    assert ROLES.keys() == methods


def test_table_of_errors_has_every_code_of_the_facade() -> None:
    """The codes are those that the modules of the facade's gRPC services name, but for metrics."""
    folder = ROOT / "facade" / "fabric_jobs" / "facade" / "rpc"
    named = set[str]()
    for module in folder.glob("*.py"):
        if module.name != "instrumentation.py":
            named |= set(re.findall(r"grpc\.StatusCode\.([A-Z_]+)", module.read_text()))
    rows = re.findall(r"^\| `([A-Z_]+)` \|", section(PAGE, "Errors"), re.M)

    assert sorted(rows) == sorted(named)


def test_keepalive_interval_equals_the_interval_in_the_code() -> None:
    """The page says how often a client may ping."""
    told = re.search(r"keepalive ping every (\d+) seconds at most", section(PAGE, "Limits"))

    assert told
    assert int(told[1]) == channels.MIN_PING_INTERVAL_S
