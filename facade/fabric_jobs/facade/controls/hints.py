"""Says why no executor can start a waiting job now, while an operator can still help."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import Job

#: Names of job types that a hint lists at most.
MAX_NAMES = 5


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


def name(kind: JobKind) -> str:
    """Returns the item type and the job type as a person types them."""
    return f"{kind.item_type} {kind.job_type}"


def describe(control: JobTypeControl) -> str:
    """Returns since when a type is paused, by whom and why, as the end of a sentence."""
    by = f" by {control.by}" if control.by else ""
    reason = f": {control.reason.removesuffix('.')}" if control.reason else ""
    return f" since {control.time:%H:%M:%S} UTC{by}{reason}"


def list_names(kinds: Collection[JobKind], near: JobKind) -> str:
    """Returns the names of job types, the nearest to `near` first, at most `MAX_NAMES` of them."""
    names = sorted(map(name, kinds))
    nearest = get_close_matches(name(near), names, MAX_NAMES)
    listed = [*nearest, *(one for one in names if one not in nearest)]
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return f"{', '.join(listed[:MAX_NAMES])}{more}"


def _list_served(kind: JobKind, served: Collection[JobKind]) -> str:
    if not served:
        return "no executor is connected"
    return f"there are {list_names(served, kind)}"
