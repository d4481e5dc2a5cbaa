"""Says why no executor can start a waiting job now, while an operator can still help."""

from collections.abc import Collection, Mapping

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.controls.kind_names import list_names, name
from fabric_jobs.facade.lifecycle import Job


def start_hint(
    job: Job, served: Collection[JobKind], paused: Mapping[JobKind, JobTypeControl]
) -> str:
    """Returns why no executor can start the job now, and until when it may still start.

    `served` are the job types that a connected executor has a handler for. The text is empty if the
    job does not wait for an executor, or waits only for a free slot.
    """
    state = job.state
    if state.phase is not JobPhase.QUEUED:
        return ""
    kind = JobKind.of(state)
    if control := paused.get(kind):
        why = f"{name(kind)} is paused{describe(control)}."
    elif kind not in served:
        why = f"No executor has a handler for {name(kind)}; {_list_served(kind, served)}."
    else:
        return ""
    if state.start_time is not None:
        return why
    start_by = state.create_time + START_DEADLINE
    return f"{why} The job fails at {start_by:%H:%M:%S} UTC unless it starts."


def describe(control: JobTypeControl) -> str:
    """Returns since when a type is paused, by whom and why, as the end of a sentence."""
    by = f" by {control.by}" if control.by else ""
    reason = f": {control.reason.removesuffix('.')}" if control.reason else ""
    return f" since {control.time:%Y-%m-%d %H:%M:%S} UTC{by}{reason}"


def _list_served(kind: JobKind, served: Collection[JobKind]) -> str:
    if not served:
        return "no executor is connected"
    return f"there are {list_names(served, kind)}"
