"""The secrets of jobs: sealed before an event is appended, opened for those who may see them.

The facade that appends an event seals its secrets once. Later events carry the sealed texts as they
are. So only a read, a claim and the comparison with an earlier request or report need a key.
"""

import logging
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from fabric_jobs.contract.events import Event
from fabric_jobs.facade import metrics
from fabric_jobs.facade.lifecycle import (
    Command,
    Job,
    ReportProgress,
    Request,
    SaveCheckpoint,
    Sealed,
)
from fabric_jobs.facade.sealing.errors import SealedError, UnknownKeyError
from fabric_jobs.facade.sealing.events import open_event, seal_event
from fabric_jobs.facade.sealing.place import Place
from fabric_jobs.facade.sealing.sealer import Purpose, Sealer, key_id_of_hash, split_sealed
from fabric_jobs.facade.sealing.texts import open_progress, open_state
from fabric_jobs.runtime.telemetry.summaries import LogSummary

_unopened = LogSummary(logging.getLogger("fabric_jobs.sealing"))
E_co = TypeVar("E_co", bound=Event)


class Revealed(NamedTuple):
    """A job whose error, progress and log lines can be read. Its content may still be sealed."""

    job: Job
    #: The id of a key that this facade lacks to open all of the job; empty if it lacks none.
    missing_key_id: str = ""


class Content(NamedTuple):
    """What the handler of an attempt gets."""

    #: The creation payload as JSON; `null` if the request had none.
    payload: bytes
    #: The item's definition as JSON; empty if the request had none.
    definition: bytes
    #: The last checkpoint as JSON; None if there is none.
    checkpoint: bytes | None


def has_sealed_content(job: Job) -> bool:
    """Whether a part of what the handler gets is sealed, so that only facades can hand it over."""
    return any(isinstance(value, Sealed) for value in (job.payload, job.definition, job.checkpoint))


class JobSecrets:
    """Seals and opens the secrets of all jobs of one events topic."""

    def __init__(self, sealer: Sealer, *, seals: bool) -> None:
        """Without `seals`, it opens what is sealed, and seals nothing."""
        self._sealer = sealer
        self._seals = seals

    def seal(self, event: E_co) -> E_co:
        """Returns the event as it is to be appended."""
        if not self._seals:
            return event
        place = Place(self._sealer, event.data.state.tenant_id, event.subject)
        return seal_event(place, event)

    def reveal(self, job: Job) -> Revealed:
        """Returns the job with its texts opened; a sentence stands for each that stays sealed."""
        place = self._place(job)
        changes = dict[str, Any]()
        if (state := open_state(place, job.state)) is not job.state:
            changes["state"] = state
        if isinstance(job.log_tail, Sealed):
            changes["log_tail"] = place.open_text(Purpose.LOG_TAIL, job.log_tail.text)
        self._note(job.job_id, place.failure)
        failure = place.failure or self._find_missing_key(job)
        missing = failure.key_id if isinstance(failure, UnknownKeyError) else ""
        return Revealed(replace(job, **changes) if changes else job, missing)

    def reveal_event(self, event: Event) -> Event:
        """Returns the event with its texts opened; a sentence stands for each that stays sealed."""
        place = Place(self._sealer, event.data.state.tenant_id, event.subject)
        opened = open_event(place, event)
        self._note(event.subject, place.failure)
        return opened

    def content(self, job: Job) -> Content:
        """Opens what the handler gets. Raises `SealedError`."""
        return Content(
            self._open(job, Purpose.PAYLOAD, job.payload),
            self._open(job, Purpose.DEFINITION, job.definition),
            self.checkpoint(job),
        )

    def checkpoint(self, job: Job) -> bytes | None:
        """Opens the last checkpoint; None if there is none. Raises `SealedError`."""
        if job.checkpoint is None:
            return None
        return self._open(job, Purpose.CHECKPOINT, job.checkpoint)

    def knows_keys(self, job: Job) -> bool:
        """Whether the ring has every key that the job's content names. Opens nothing."""
        return self._find_missing_key(job) is None

    def prepare(self, command: Command, job: Job | None) -> tuple[Command, Job | None]:
        """Makes a command and the job comparable, so that a repeated command is recognised.

        Raises `UnknownKeyError` if the key is missing by which a create would be recognised.
        """
        if isinstance(command, Request):
            return self._with_keyed_hash(command, job), job
        if job and isinstance(command, ReportProgress) and job.state.progress:
            # Nothing else is opened: the next event carries the rest of the state as it is.
            progress = open_progress(self._place(job), job.state.progress)
            return command, replace(job, state=replace(job.state, progress=progress))
        if job and isinstance(command, SaveCheckpoint) and isinstance(job.checkpoint, Sealed):
            plain = self._place(job).try_open(Purpose.CHECKPOINT, job.checkpoint.text)
            return command, replace(job, checkpoint=plain) if plain else job
        return command, job

    def _with_keyed_hash(self, command: Request, job: Job | None) -> Request:
        """The request with a hash of the kind that the job has, or that a new job gets."""
        earlier = job.state.request_hash if job else None
        is_keyed = key_id_of_hash(earlier) != "" if earlier else self._seals
        if not is_keyed:
            return command
        try:
            keyed = self._sealer.keyed_hash(
                command.tenant_id, command.job_id, command.request_hash, earlier
            )
        except UnknownKeyError as error:
            self._note(command.job_id, error)
            raise
        return replace(command, request_hash=keyed)

    def _find_missing_key(self, job: Job) -> SealedError | None:
        """Why the job's content can't be opened, as far as its key ids tell."""
        for value in (job.payload, job.definition, job.checkpoint):
            if isinstance(value, Sealed):
                try:
                    self._sealer.require_key(split_sealed(value.text)[0])
                except SealedError as error:
                    return error
        return None

    def _open(self, job: Job, purpose: Purpose, value: bytes | Sealed) -> bytes:
        if not isinstance(value, Sealed):
            return value
        try:
            return self._place(job).open(purpose, value.text)
        except SealedError as error:
            self._note(job.job_id, error)
            raise

    def _place(self, job: Job) -> Place:
        return Place(self._sealer, job.state.tenant_id, job.job_id)

    @staticmethod
    def _note(job_id: str, failure: SealedError | None) -> None:
        """Counts and logs a failure to open a secret."""
        if failure:
            metrics.UNOPENED_SECRETS.add(1, failure.reason)
            _unopened.add("job %s: a secret can't be opened. %s", job_id, failure)
