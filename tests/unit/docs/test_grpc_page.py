"""docs/grpc.md has the methods, roles and limits of the code."""

import re

from fabric_jobs.facade.rpc import server, service, session
from fabric_jobs.facade.rpc.authorization import ROLES
from fabric_jobs.runtime.channels import MIN_PING_INTERVAL_S
from fabric_jobs.status.v1.job_status_pb2 import DESCRIPTOR
from tests.support.pages import limits, section

PAGE = "docs/grpc.md"


def test_method_table_equals_the_roles_in_the_code() -> None:
    """Every method of the service is listed, with the roles that may call it."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", section(PAGE, "Who may call"), re.M)

    assert {method: set(roles.split(", ")) for method, roles in rows} == ROLES
    assert ROLES.keys() == set(DESCRIPTOR.services_by_name["JobStatusService"].methods_by_name)


def test_limits_table_has_the_numbers_of_the_code() -> None:
    """Each number of the table, from top to bottom."""
    assert limits(PAGE, "Limits") == [
        server.MAX_MESSAGE_BYTES // 1024**2,
        server.MAX_STREAMS,
        MIN_PING_INTERVAL_S,
        session.MAX_PENDING_ENTRIES,
        service.MAX_WATCH_BACKLOG,
    ]
