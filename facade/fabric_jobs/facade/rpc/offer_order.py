"""The order in which one executor should start waiting jobs, as far as a facade can tell."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter

from fabric_jobs.contract.dispatch_order import OrderKey, order_key
from fabric_jobs.contract.jobs import JobState
from fabric_jobs.facade.replica import StoredJob

_by_key = itemgetter(0)


def order_offers(
    waiting: Iterable[StoredJob],
    priority_of: Callable[[JobState], int],
    tenant_runs: Mapping[str, int],
    now: datetime,
) -> Sequence[StoredJob]:
    """Returns the jobs in the order of the ready queue, for an executor with these runs.

    `tenant_runs` has the number of the executor's runs for each tenant. A job counts as a run of
    its tenant for the jobs after it, as if the executor started one after the other.
    """

    def key_of(stored: StoredJob, runs: int) -> OrderKey:
        state = stored.job.state
        return order_key(
            dispatched_at=state.dispatched_at,
            priority=priority_of(state),
            tenant_runs=runs,
            now=now,
        )

    by_age = sorted(((key_of(stored, 0), stored) for stored in waiting), key=_by_key)
    runs = Counter(tenant_runs)
    keyed = list[tuple[OrderKey, StoredJob]]()
    for _, stored in by_age:
        tenant_id = stored.job.state.tenant_id
        keyed.append((key_of(stored, runs[tenant_id]), stored))
        runs[tenant_id] += 1
    return [stored for _, stored in sorted(keyed, key=_by_key)]
