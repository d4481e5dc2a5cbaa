"""Validators of the promises of docs/guarantees.md, on the topic and the journals.

Each validator yields one text for each breach.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.evidence import Evidence
from tests.chaos.model import Applied

#: Events that only the executor with the grant of the attempt may cause.
OF_A_RUN = {"progressed", "attempt-failed", "completed"}
#: Error codes of the handlers, whose messages name the attempt.
RAISED = {"HandlerError", "RegionClosed"}


def lost(evidence: Evidence) -> Iterator[str]:
    """A job answered with 202 is on the topic, and the last poll finds it."""
    for job in evidence.history.accepted:
        found = evidence.model.jobs.get(job)
        last = [one for one in evidence.history.by_job[job] if one.what == "poll" and one.code]
        if found is None or not found.applied:
            yield f"{job}: accepted, but not on the topic"
        elif last and last[-1].code == 404:
            yield f"{job}: accepted, but the last poll on replica {last[-1].replica} got 404"


def double_grants(evidence: Evidence) -> Iterator[str]:
    """Each attempt is granted to one executor and runs once."""
    for job, found in evidence.model.jobs.items():
        starts = Counter(one.attempt for one in found.applied if one.type == "started")
        for attempt, times in starts.items():
            if times > 1:
                yield f"{job}: attempt {attempt} was granted {times} times"
    for (job, attempt), lines in evidence.runs.items():
        pids = [line.pid for line in lines if line.what == "started"]
        if len(pids) > 1:
            yield f"{job}: attempt {attempt} ran in the processes {pids}"


def ungranted(evidence: Evidence) -> Iterator[str]:
    """An attempt runs only in the executor that it was granted to."""
    for (job, attempt), lines in evidence.runs.items():
        found = evidence.model.jobs.get(job)
        granted = {
            one.executor
            for one in (found.applied if found else ())
            if one.type == "started" and one.attempt == attempt
        }
        for line in lines:
            executor = evidence.executors.get(line.pid)
            # The id of a process that was killed before it was ready is unknown.
            if not granted or (executor and executor not in granted):
                yield f"{job}: attempt {attempt} ran in {executor}, but was granted to {granted}"
                break


def forked(evidence: Evidence) -> Iterator[str]:
    """The log has no gap and no fork: each event follows the last one of its job."""
    for job, found in evidence.model.jobs.items():
        for fork in found.forks:
            yield f"{job}: {fork}"
    for poison in evidence.model.poison:
        yield f"a record that is no event: {poison}"


def superseded(evidence: Evidence) -> Iterator[str]:
    """Only the current attempt's executor changes a job."""
    for job, found in evidence.model.jobs.items():
        grants = {one.attempt: one.executor for one in found.applied if one.type == "started"}
        for before, after in pairwise(found.applied):
            if breach := _superseded(before, after, grants):
                yield f"{job}: {breach}"


def _superseded(before: Applied, after: Applied, grants: dict[int, str]) -> str:
    expected = before.attempt + (after.type == "requeued")
    if after.attempt != expected:
        return f"{after.type} changed attempt {before.attempt} to {after.attempt}"
    if after.type in OF_A_RUN and after.executor != grants.get(after.attempt):
        return f"{after.type} of attempt {after.attempt} came from {after.executor}"
    if after.is_sealed:
        return ""  # its texts name no attempt
    named = f"attempt {after.attempt}"
    if after.type == "progressed" and after.progress != named:
        return f"progress of {after.progress!r} was applied to {named}"
    named = f"attempt {after.failed_attempt}"
    if after.error_code in RAISED and not after.error_message.endswith(named):
        return f"the error of {after.error_message!r} was applied to {named}"
    return ""


def never_final(evidence: Evidence) -> Iterator[str]:
    """Every job reaches a final state."""
    for job, found in evidence.model.jobs.items():
        if found.applied and not found.final:
            last = found.applied[-1]
            yield f"{job}: is still {last.phase} in attempt {last.attempt} after {last.type}"


def wrong_ends(evidence: Evidence) -> Iterator[str]:
    """A job ends as its handler ended; it is cancelled only after a client's cancel."""
    for job, found in evidence.model.jobs.items():
        if not found.final:
            continue
        last = found.applied[-1]
        if last.status == "Cancelled":
            if not any(one.what == "cancel" for one in evidence.history.by_job[job]):
                yield f"{job}: was cancelled, but no client sent a cancel"
            continue
        error = last.error_code if last.status == "Failed" else ""
        if (last.status, error) not in evidence.kinds[evidence.kind(job)].ends:
            yield f"{job}: a job of kind {evidence.kind(job)} ended as {last.status} {error}"


def without_run(evidence: Evidence) -> Iterator[str]:
    """A job is Completed only because the handler of its attempt returned."""
    for job, found in evidence.model.jobs.items():
        last = found.applied[-1] if found.applied else None
        if last and last.status == "Completed":
            lines = evidence.runs.get((job, last.attempt), [])
            if not any(line.what == "returned" for line in lines):
                yield f"{job}: completed, but no handler of attempt {last.attempt} returned"
