"""The page of one executor: its last heartbeat, and the runs that it holds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fabric_jobs.contract.heartbeats import Run
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.pages import MonitorData, Page
from fabric_jobs.facade.roster import LastHeartbeat

#: Runs on the page.
MAX_RUNS = 200


class RunView(NamedTuple):
    """A run of the executor."""

    run: Run
    #: The job; None if this replica does not know it.
    job: Job | None
    #: What differs between the heartbeat and the job's state; empty if nothing does.
    note: str


class ExecutorView(NamedTuple):
    """The executor as this replica knows it."""

    executor_id: str
    #: None if no heartbeat arrived within the last lease.
    last: LastHeartbeat | None
    runs: Sequence[RunView]
    #: How many runs there are beyond them; not positive if there are none.
    more: int


class ExecutorPage(Page):
    """One executor."""

    template = "executor.html"
    section = "executors"

    def __init__(self, data: MonitorData, executor_id: str) -> None:
        self._data = data
        self.executor_id = executor_id

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings and the executor."""
        executors = self._data.roster.executors()
        last = next(
            (one for one in executors if one.heartbeat.executor_id == self.executor_id), None
        )
        listed = set(last.heartbeat.runs if last else ())
        held = {
            run
            for run, executor_id in self._data.replica.held_runs()
            if executor_id == self.executor_id
        }
        runs = sorted(listed | held, key=lambda run: (run.job_id, run.attempt))
        views = [self._view(run, run in listed, run in held) for run in runs[:MAX_RUNS]]
        view = ExecutorView(self.executor_id, last, views, len(runs) - MAX_RUNS)
        return {"warnings": self._data.warnings(), "executor": view}

    def _view(self, run: Run, is_listed: bool, is_held: bool) -> RunView:
        stored = self._data.replica.get(run.job_id)
        job = self._data.row_job(stored) if stored else None
        if not is_held:
            return RunView(
                run, job, "claimed, and not granted yet, or no longer this executor's run"
            )
        return RunView(run, job, "" if is_listed else "not in its last heartbeat")
