"""The order in which waiting attempts start."""

from datetime import UTC, datetime, timedelta

from fabric_jobs.contract.dispatch_order import (
    DEFAULT_PRIORITIES,
    MAX_PRIORITY,
    MIN_PRIORITY,
    OVERDUE_AFTER,
    OrderKey,
    order_key,
)
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.jobs import InvokeType

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key(waited: timedelta, priority: int = 5, tenant_runs: int = 0) -> OrderKey:
    """Returns the key of an attempt that has waited for this long."""
    return order_key(
        dispatched_at=NOW - waited, priority=priority, tenant_runs=tenant_runs, now=NOW
    )


def test_default_priorities_put_manual_before_scheduled_before_unknown() -> None:
    """Each invoke type has one, inside the range and with room on both sides."""
    priorities = [DEFAULT_PRIORITIES[invoke_type] for invoke_type in InvokeType]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 3
    assert MIN_PRIORITY < priorities[-1] < priorities[0] < MAX_PRIORITY


def test_order_is_by_priority_then_by_runs_of_the_tenant_then_by_age() -> None:
    """Each rule decides only between attempts that the rules before it leave equal."""
    second = timedelta(seconds=1)
    assert key(second, priority=6, tenant_runs=9) < key(9 * second, priority=5)
    assert key(second, tenant_runs=1) < key(9 * second, tenant_runs=2)
    assert key(9 * second) < key(second)


def test_overdue_attempt_is_before_any_that_is_not_and_the_oldest_is_first() -> None:
    """Neither priority nor tenant counts. Half of the start deadline is left."""
    before = OVERDUE_AFTER - timedelta(seconds=1)
    assert key(OVERDUE_AFTER, priority=1, tenant_runs=9) < key(before, priority=9)
    older = OVERDUE_AFTER + timedelta(seconds=1)
    assert key(older, priority=1, tenant_runs=9) < key(OVERDUE_AFTER, priority=9)
    assert timedelta(minutes=55) == OVERDUE_AFTER == START_DEADLINE / 2
