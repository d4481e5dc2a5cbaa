"""Why a facade refuses to create a job."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.jobs.errors import UnavailableReason
from fabric_jobs.facade.startup.composition import create_fault


def roster(clock: Clock) -> Any:
    """A facade with this clock, whose settings are those of the other facades."""
    return SimpleNamespace(clock=clock, peers=SimpleNamespace(conflict=""))


async def test_create_before_the_clock_was_compared_with_the_brokers_is_refused() -> None:
    """Until then the clock is the machine's, and a job would get the deadlines of a wrong one."""
    clock = Clock()
    fault = create_fault(roster(clock))
    assert fault
    assert fault.reason is UnavailableReason.CLOCK_WRONG

    now = datetime.now(UTC)
    clock.note_written(now)
    clock.confirm(now, now)
    assert create_fault(roster(clock)) is None
