"""Job types: which there are, how many jobs of each wait and run, and which are paused."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.scalars import MAX_NAME_CHARS
from fabric_jobs.facade.controls.controls import Controls
from fabric_jobs.facade.controls.kind_names import list_names, name
from fabric_jobs.facade.jobs.errors import map_log_errors
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.replica import Filter, Replica
from fabric_jobs.facade.roster import Roster


class UnknownJobTypeError(Exception):
    """No executor serves the job type, and no job has it; the message lists the known ones."""


class InvalidJobTypeError(Exception):
    """No job type has such names; the message names the bound."""


class JobTypeState(NamedTuple):
    """A job type that an executor serves, that unfinished jobs have, or that is paused."""

    kind: JobKind
    #: The connected executors with a handler for it.
    executors: int
    #: The numbers of jobs by Fabric's status, among those that are not final.
    not_started: int
    in_progress: int
    #: When the oldest job that has not started was accepted; None if there is none.
    oldest_create_time: datetime | None
    #: The pause; None if the type is not paused.
    pause: JobTypeControl | None

    @property
    def start_deadline(self) -> datetime | None:
        """When the oldest job that has not started fails; None if there is none."""
        return self.oldest_create_time + START_DEADLINE if self.oldest_create_time else None


class JobTypes:
    """Lists, pauses and resumes job types, for gRPC and the monitor."""

    def __init__(self, jobs: Jobs, replica: Replica, roster: Roster, controls: Controls) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self.controls = controls

    async def list(self) -> Sequence[JobTypeState]:
        """Returns the job types, sorted by item type and job type. Raises `UnavailableError`."""
        with map_log_errors():
            await self._jobs.freshen()
            counts = {(one.kind, one.status): one for one in await self._replica.unfinished_types()}
        executors = Counter(
            kind for last in self._roster.executors() for kind in last.heartbeat.job_kinds
        )
        paused = self.controls.paused
        kinds = {*executors, *paused, *(kind for kind, _ in counts)}
        states = []
        for kind in sorted(kinds):
            not_started = counts.get((kind, JobInstanceStatus.NOT_STARTED))
            in_progress = counts.get((kind, JobInstanceStatus.IN_PROGRESS))
            states.append(
                JobTypeState(
                    kind,
                    executors[kind],
                    not_started.jobs if not_started else 0,
                    in_progress.jobs if in_progress else 0,
                    not_started.oldest_create_time if not_started else None,
                    paused.get(kind),
                )
            )
        return states

    async def pause(self, kind: JobKind, reason: str, by: str) -> JobTypeState:
        """Pauses the job type on every replica. A second pause replaces reason, person and time.

        Raises `InvalidJobTypeError`, `UnknownJobTypeError` and `UnavailableError`.
        """
        _check(kind)
        known = {state.kind for state in await self.list()}
        if kind not in known and not await self._has_jobs(kind):
            listed = f"There are {list_names(known, kind)}." if known else "There are none yet."
            raise UnknownJobTypeError(
                f"No executor has a handler for {name(kind)}, and no job has this type. {listed}"
            )
        return await self._write(kind, paused=True, reason=reason, by=by)

    async def resume(self, kind: JobKind, by: str) -> JobTypeState:
        """Resumes the job type on every replica. A type that is not paused stays as it is.

        Raises `InvalidJobTypeError`, `UnknownJobTypeError` and `UnavailableError`.
        """
        _check(kind)
        states = {state.kind: state for state in await self.list()}
        if kind in states and states[kind].pause is None:
            return states[kind]
        if kind not in states:
            listed = list_names(self.controls.paused, kind) or "none"
            raise UnknownJobTypeError(
                f"The job type {name(kind)} is not paused. The paused types: {listed}."
            )
        return await self._write(kind, paused=False, reason="", by=by)

    async def _write(self, kind: JobKind, *, paused: bool, reason: str, by: str) -> JobTypeState:
        await self.controls.write(
            JobTypeControl(
                kind=kind, paused=paused, reason=reason, by=by, time=self._roster.clock.now()
            )
        )
        states = {state.kind: state for state in await self.list()}
        return states.get(kind) or JobTypeState(kind, 0, 0, 0, None, self.controls.paused.get(kind))

    async def _has_jobs(self, kind: JobKind) -> bool:
        which = Filter(item_type=kind.item_type, job_type=kind.job_type)
        found, _ = await self._jobs.list(which, 1, None)
        return bool(found)


def _check(kind: JobKind) -> None:
    for field in ("item_type", "job_type"):
        if not 0 < len(getattr(kind, field)) <= MAX_NAME_CHARS:
            raise InvalidJobTypeError(f"{field} must have 1 to {MAX_NAME_CHARS} characters.")
