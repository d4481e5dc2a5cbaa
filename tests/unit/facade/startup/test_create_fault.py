"""Why a facade refuses to create a job, or to append the event of any command."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.jobs.errors import UnavailableReason
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.startup.composition import command_fault, create_fault
from tests.support.lifecycle import JOB, request


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


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [(timedelta(hours=-50), False), (timedelta(hours=23), False), (timedelta(hours=25), True)],
    ids=str,
)
async def test_cancel_is_refused_only_while_the_brokers_clock_is_over_a_day_ahead(
    ahead: timedelta, refused: bool
) -> None:
    """A create is refused with each of these differences."""
    clock = Clock()
    now = datetime.now(UTC)
    clock.note_written(now)
    clock.confirm(now, now + ahead)
    fault = command_fault(RequestCancel(job_id=JOB), roster(clock))

    assert (fault is not None) is refused
    assert fault is None or fault.reason is UnavailableReason.CLOCK_WRONG
    assert command_fault(request(), roster(clock))
