"""Decides commands on the state that this replica has applied, and with the secrets it can open."""

import uuid
from collections.abc import Callable
from datetime import datetime

from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.jobs.errors import sealed_error
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    Decision,
    Job,
    Reason,
    Refusal,
    Settled,
    Stamp,
    Undecidable,
    decide,
)
from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.sealing import JobSecrets, SealedError


class Decider:
    """Decides the commands of one facade. It appends nothing."""

    def __init__(
        self, replica: Replica, secrets: JobSecrets, source: str, now: Callable[[], datetime]
    ) -> None:
        """`source` is this facade's name in its events, and `now` returns their time."""
        self._replica = replica
        self._secrets = secrets
        self._source = source
        self._now = now

    def decide(self, command: Command, read_to: int | None) -> tuple[Decision, StoredJob | None]:
        """The decision on the state that is applied here, and the job that it was made on.

        `read_to` is the position in the job's partition that the command is based on. Raises
        `UnavailableError` if the decision needs a secret that this facade can't open.
        """
        stored = self._replica.get(command.job_id)
        if stored and isinstance(command, Claim) and _is_of_another_record(read_to, stored):
            return Refusal(Reason.NOT_DISPATCHED, conclusive=False), stored
        try:
            prepared, job = self._secrets.prepare(command, stored.job if stored else None)
            decision = decide(job, prepared, self._stamp())
        except SealedError as error:
            raise sealed_error(error) from error
        if stored and isinstance(command, Claim):
            decision = self._unless_sealed(decision, stored.job)
        return decision, stored

    def _unless_sealed(self, decision: Decision, job: Job) -> Decision:
        """The decision on a claim of the job, or a refusal if its content can't be handed over.

        Another facade may be able to: it offers the job. A claim that is granted already is
        undecided instead, because the executor must not drop it: raises `UnavailableError`.
        """
        if isinstance(decision, Refusal | Undecidable):
            return decision
        try:
            self._secrets.content(job)
        except SealedError as error:
            if isinstance(decision, Settled):
                raise sealed_error(error) from error
            return Refusal(Reason.SEALED, conclusive=False)
        return decision

    def _stamp(self) -> Stamp:
        return Stamp(event_id=str(uuid.uuid4()), source=self._source, time=self._now())


def _is_of_another_record(read_to: int | None, stored: StoredJob) -> bool:
    """Whether a claim names another record than the one that dispatched the job.

    A record that copies the dispatching event's id may have another payload: its claim is refused.
    """
    if read_to is None:
        return False
    # A job that is queued was dispatched by its last event.
    return stored.job.state.phase is JobPhase.QUEUED and read_to != stored.offset + 1
