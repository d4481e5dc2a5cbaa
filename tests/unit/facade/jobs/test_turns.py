"""The turns of commands: what counts as a command in progress, and for how long."""

import asyncio

import pytest

from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.jobs.errors import UnavailableError
from fabric_jobs.facade.jobs.turns import Turns


def test_turns_of_a_job_are_one_until_its_last_command_is_over() -> None:
    """Nothing is kept of a job without a command, because there are millions of jobs."""
    commands = Turns()
    turn = commands.enter("job")
    assert commands.enter("job") is turn
    assert commands.enter("other") is not turn
    commands.leave("job")
    assert commands.enter("job") is turn
    for job_id in ("job", "job", "other"):
        commands.leave(job_id)

    assert not commands._of_job


async def test_turns_append_without_an_outcome_counts_as_a_command_until_it_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While Kafka is away the number of such appends is bounded, and afterwards there is room."""
    monkeypatch.setattr(turns, "MAX_COMMANDS", 1)
    commands = Turns()
    for _ in range(3):
        has_outcome = asyncio.Event()
        turn = commands.enter("job")
        commands.leave_unresolved("job", has_outcome.wait())
        commands.leave("job")
        with pytest.raises(UnavailableError):
            commands.enter("other")
        assert turn.unresolved
        has_outcome.set()
        await turn.unresolved
        await asyncio.sleep(0)
        assert turn.unresolved is None

    assert not commands._of_job
