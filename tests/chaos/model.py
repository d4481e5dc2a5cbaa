"""A model of the topic, as a subscriber keeps it: one sequence number for each job.

It reads plain JSON and shares no code with the product, so that a fault of the one is not in both.
"""

import json
from typing import Any, NamedTuple

from msgspec import Struct, field


class Applied(NamedTuple):
    """The fields of an applied event that the promises are about."""

    type: str
    attempt: int
    phase: str
    status: str
    executor: str
    start: str
    end: str
    #: The text of the progress, and the error with the attempt that it is of.
    progress: str
    error_code: str
    error_message: str
    failed_attempt: int
    #: Whether the texts of progress and error are sealed, so that nobody here can read them.
    is_sealed: bool = False


class ModelJob(Struct):
    """A job's state and events on the topic."""

    #: The partition of its events.
    partition: int
    #: The sequence and id of the last event that applied, and the state in it.
    number: int = 0
    event_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    applied: list[Applied] = field(default_factory=list)
    #: How many events were duplicates or lost their races.
    lost: int = 0
    #: Descriptions of events that a healthy log can't have: after the final state, and elsewhere.
    behind_final: list[str] = field(default_factory=list)
    forks: list[str] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """Whether the job's state is final."""
        return bool(self.state) and self.state["phase"] == "Ended"


class Model:
    """All jobs of the records that were read."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        #: Records that are no events, by partition and offset.
        self.poison: list[str] = []
        self.events = 0

    def read(self, partition: int, offset: int, value: bytes | None) -> None:
        """Read the next record of a partition."""
        try:
            event = json.loads(value or b"")
            job_id, data = event["subject"], event["data"]
            applied = _applied(event["type"], data["state"])
            number, follows, event_id = data["sequence"], data["follows"], event["id"]
        except (ValueError, TypeError, KeyError) as error:
            self.poison.append(f"partition {partition} offset {offset}: {error!r}")
            return
        self.events += 1
        job = self.jobs.setdefault(job_id, ModelJob(partition))
        if number <= job.number:
            job.lost += 1
        elif job.final:
            job.behind_final.append(f"{applied.type} {number}")
        elif (partition, number, follows) != (job.partition, job.number + 1, job.event_id):
            job.forks.append(
                f"{applied.type} {number} in partition {partition} follows {follows}, "
                f"not {job.event_id}"
            )
        else:
            job.number, job.event_id, job.state = number, event_id, data["state"]
            job.applied.append(applied)


def _applied(kind: str, state: dict[str, Any]) -> Applied:
    error, progress = state.get("error") or {}, state.get("progress") or {}
    return Applied(
        type=kind.removeprefix("fabric.jobs."),
        attempt=state["attempt"],
        phase=state["phase"],
        status=state["status"],
        executor=state.get("executorId") or "",
        start=state.get("startTime") or "",
        end=state.get("endTime") or "",
        progress=progress.get("message", ""),
        error_code=error.get("errorCode", ""),
        error_message=error.get("message", ""),
        failed_attempt=state.get("failedAttempt") or 0,
        is_sealed="sealed" in error or "sealed" in progress,
    )
