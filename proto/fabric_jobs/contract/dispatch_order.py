"""The order in which waiting attempts start.

Executors choose by it which attempt to claim next, and facades which attempt to offer next. Nobody
may rely on the order: two executors can start two attempts in any order.
"""

from datetime import datetime

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.jobs import InvokeType

#: The range of priorities. An attempt of a higher priority starts first.
MIN_PRIORITY = 1
MAX_PRIORITY = 9
#: The priority of an attempt whose handler sets none. A person waits for a manual job.
DEFAULT_PRIORITIES = {
    InvokeType.MANUAL: 7,
    InvokeType.SCHEDULED: 5,
    InvokeType.UNKNOWN_FUTURE_VALUE: 3,
}
#: An attempt that has waited this long since its dispatch is overdue: it starts before every
#: attempt that is not overdue. So no attempt waits for ever behind attempts that arrive later. The
#: other half of the start deadline is left to start it.
OVERDUE_AFTER = START_DEADLINE / 2

#: A sort key of waiting attempts. The smallest key starts first.
OrderKey = tuple[bool, int, int, datetime]


def default_priority(invoke_type: str) -> int:
    """Returns the priority of an attempt whose handler sets none, by who requested the job."""
    return DEFAULT_PRIORITIES[InvokeType.parse(invoke_type)]


def order_key(
    *, dispatched_at: datetime, priority: int, tenant_runs: int, now: datetime
) -> OrderKey:
    """Returns the key of an attempt in the order of starts.

    Overdue attempts are first, the oldest before the others. All other attempts follow: first by
    the higher `priority`, then by the smaller `tenant_runs`, which is the number of runs that the
    attempt's tenant has where the attempt would start, then by age.
    """
    if now - dispatched_at >= OVERDUE_AFTER:
        return False, 0, 0, dispatched_at
    return True, -priority, tenant_runs, dispatched_at
