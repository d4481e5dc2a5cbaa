"""The page of one job."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.pages import MonitorData, Page
from fabric_jobs.facade.monitor.timeline import MAX_ROWS, HistoryReader, Row, Timeline, row_of
from fabric_jobs.facade.replica import Change, StoredJob
from fabric_jobs.facade.sealing import SealedError


class StateView(NamedTuple):
    """A job, why no executor can start it now, and the job that took its place."""

    job: Job
    hint: str
    replaced_by: str | None
    #: The size of the job's checkpoint; None if it has none, or if it can't be opened.
    checkpoint_bytes: int | None


class ContentView(NamedTuple):
    """What a job's handler gets."""

    payload: bytes = b""
    definition: bytes = b""
    #: Why payload and definition can't be shown; empty if they can.
    sealed: str = ""


class ActionsView(NamedTuple):
    """What the viewer may do with the job."""

    job_id: str
    cancel: bool
    retry: bool


class TimelineView(NamedTuple):
    """The content of a timeline at one time."""

    rows: Sequence[Row]
    note: str
    job_id: str


class JobPage(Page):
    """One job."""

    template = "job.html"
    section = "jobs"

    def __init__(
        self, data: MonitorData, history: HistoryReader, stored: StoredJob, *, operator: bool
    ) -> None:
        """`operator` says whether the viewer may cancel or retry the job."""
        self._data = data
        self._history = history
        self._stored = stored
        self._operator = operator
        self._timeline = Timeline()
        #: Events that applied since the page was opened. The timeline takes them after the history.
        self._new_rows: deque[Row] = deque(maxlen=MAX_ROWS)
        self._history_read = False

    @property
    def job(self) -> Job:
        """The job as the page last saw it."""
        return self._stored.job

    def content(self) -> ContentView:
        """Returns what the job's handler gets, or why it can't be shown."""
        try:
            content = self._data.secrets.content(self.job)
        except SealedError as error:
            return ContentView(sealed=f"The payload is sealed. {error}")
        return ContentView(content.payload, content.definition)

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the job's state, the actions and the timeline."""
        self._refresh_job()
        if self._history_read:
            for row in self._new_rows:
                self._timeline.add(row)
            self._new_rows.clear()
        timeline = self._timeline
        job_ids = [self.job.job_id] if self.job.final else []
        replaced = await self._data.replica.replacements(job_ids)
        hint = self._data.start_hints([self.job]).get(self.job.job_id, "")
        replaced_by = replaced.get(self.job.job_id)
        actions = ActionsView(
            self.job.job_id,
            cancel=self._operator and not self.job.final and not self.job.state.cancel_time,
            retry=self._operator and self.job.final and replaced_by is None,
        )
        return {
            "warnings": self._data.warnings(),
            "state": StateView(
                self._data.secrets.reveal(self.job).job,
                hint,
                replaced_by,
                self._checkpoint_bytes(),
            ),
            "actions": actions,
            "timeline": TimelineView(timeline.rows, timeline.note, self.job.job_id),
        }

    def note_change(self, change: Change) -> bool:
        """Keeps an event of this job for the timeline."""
        if change.stored.job.state.retry_of == self.job.job_id:
            return True
        if change.stored.job.job_id != self.job.job_id:
            return False
        # A row, because an event holds a payload, and there may be many events.
        self._new_rows.append(row_of(self._data.secrets.reveal_event(change.event)))
        return True

    async def read_history(self) -> None:
        """Reads the job's events from the log, unless another page is reading."""
        await self._history.read_now(self._stored, self._timeline)

    async def run_background(self, notify: Callable[[], None]) -> None:
        """Reads the job's events from the log; later events come by `note_change`."""
        self._refresh_job()
        try:
            await self._history.read(self._stored, self._timeline, notify)
        finally:
            self._history_read = True
            notify()

    def _checkpoint_bytes(self) -> int | None:
        try:
            checkpoint = self._data.secrets.checkpoint(self.job)
        except SealedError:
            return None
        return None if checkpoint is None else len(checkpoint)

    def _refresh_job(self) -> None:
        """Looks the job up again. A job that the replica has dropped stays as it was."""
        self._stored = self._data.replica.get(self.job.job_id) or self._stored
