"""What a facade decides about a job whose content it can't open."""

from typing import Any

import pytest

from fabric_jobs.contract import events
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.retries import retry_job
from fabric_jobs.facade.lifecycle import Command, Job, Reason, decide, fold
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.sealing import JobSecrets
from tests.support.lifecycle import A, B, cancel, claim, request, stamp
from tests.support.sealing import NEW_KEY, sealing

OTHER_ID = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


class OneJob:
    """A log that is read to its end, and a replica with one job, whose secrets are sealed."""

    partitions = 4
    topic = "events"

    def __init__(self, *commands: Command) -> None:
        self.job: Job | None = None
        for number, command in enumerate(commands, 1):
            decision = decide(*self._prepare(command), stamp(f"e{number}", number))
            assert isinstance(decision, events.KnownEvent)
            _, self.job = fold(self.job, sealing().seal(decision))
        self.reads = 0

    def _prepare(self, command: Command) -> tuple[Job | None, Command]:
        prepared, job = sealing().prepare(command, self.job)
        return job, prepared

    def get(self, job_id: str) -> StoredJob | None:
        """The job."""
        return StoredJob(self.job, partition=0, offset=0, first_ms=0) if self.job else None

    async def read_to_end(self) -> None:
        """Counts the reads."""
        self.reads += 1

    def jobs(self, secrets: JobSecrets) -> Jobs:
        """The jobs of a facade with these secrets."""
        anything: Any = self
        return Jobs(anything, anything, "/test", 3.0, secrets)


async def test_claim_without_the_key_is_refused_after_the_log_was_read_to_its_end() -> None:
    """The executor takes other jobs; a facade that has the key may be appending the grant."""
    world = OneJob(request())
    with pytest.raises(RefusedError) as raised:
        await world.jobs(sealing(NEW_KEY)).execute(claim(1, A, "e1"), read_to=1)
    assert raised.value.reason is Reason.SEALED
    assert world.reads == 1


async def test_claim_that_is_granted_already_is_unavailable_without_the_key() -> None:
    """The run is the executor's: it asks again, and must not drop the run."""
    jobs = OneJob(request(), claim(1, A, "e1")).jobs(sealing(NEW_KEY))
    with pytest.raises(UnavailableError, match="the key old") as raised:
        await jobs.execute(claim(1, A, "e1"), read_to=1)
    assert raised.value.reason is UnavailableReason.SEALED


async def test_claim_of_a_job_of_another_executor_is_refused_for_that_without_the_key() -> None:
    """What needs no secret is decided."""
    jobs = OneJob(request(), claim(1, A, "e1")).jobs(sealing(NEW_KEY))
    with pytest.raises(RefusedError) as raised:
        await jobs.execute(claim(1, B, "e1"), read_to=1)
    assert raised.value.reason is Reason.GRANTED_TO_ANOTHER


async def test_create_and_retry_are_unavailable_without_the_key_and_a_cancel_is_not() -> None:
    """A create can't be compared, and a retry needs the content."""
    world = OneJob(request(), cancel())
    jobs = world.jobs(sealing(NEW_KEY))
    for attempt in (jobs.execute(request()), retry_job(jobs, request().job_id, OTHER_ID)):
        with pytest.raises(UnavailableError, match="the key old") as raised:
            await attempt
        assert raised.value.reason is UnavailableReason.SEALED
    assert (await jobs.execute(cancel())).job == world.job
