"""A correct run of one job: created, lost with its executor, run again, and polled.

Each test breaks one fact of it.
"""

import json
from typing import Any, Literal

from tests.chaos.evidence import Evidence
from tests.chaos.history import History, Line, Operation
from tests.chaos.model import Model

JOB = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
FIRST, SECOND = 7, 8
EXECUTORS = {FIRST: "executor-a", SECOND: "executor-b"}
START = "2026-01-01T00:00:01Z"
END = "2026-01-01T00:00:09Z"
RUNNING = {"status": "InProgress", "phase": "Running", "startTime": START}
QUEUED_AGAIN = {"status": "InProgress", "phase": "Queued", "startTime": START, "attempt": 2}
ENDED = {"phase": "Ended", "startTime": START, "endTime": END, "attempt": 2}
IN_PROGRESS = {"status": "InProgress", "startTimeUtc": START}
COMPLETED = {"status": "Completed", "startTimeUtc": START, "endTimeUtc": END}


def event(kind: str, sequence: int, follows: str | None, **state: Any) -> dict[str, Any]:
    """An event as JSON; the id of the event with sequence n is `e{n}`."""
    return {
        "id": f"e{sequence}",
        "type": f"fabric.jobs.{kind}",
        "subject": JOB,
        "data": {
            "sequence": sequence,
            "follows": follows,
            "state": {"status": "NotStarted", "phase": "Queued", "attempt": 1} | state,
        },
    }


def operation(
    what: Literal["create", "poll", "cancel"],
    start: float,
    shown: dict[str, str] | None = None,
    *,
    code: int = 200,
    replica: int = 0,
    took: float = 0.01,
) -> Operation:
    """An operation with an answer."""
    body = json.dumps(shown) if shown else ""
    return Operation(
        job=JOB, what=what, replica=replica, start=start, end=start + took, code=code, body=body
    )


class Story:
    """The operations, journal and events of the job."""

    def __init__(self) -> None:
        self.kind = "short"
        self.log_away: list[tuple[float, float]] = []
        self.operations = [
            operation("create", 0, code=202),
            operation("poll", 1, {"status": "NotStarted"}, replica=1),
            operation("poll", 3, IN_PROGRESS),
            operation("poll", 10, COMPLETED, replica=1),
            operation("poll", 12, COMPLETED),
        ]
        self.journal = [
            Line(JOB, 1, FIRST, 2.0, "started"),
            Line(JOB, 2, SECOND, 6.0, "started"),
            Line(JOB, 2, SECOND, 8.0, "returned"),
            Line(JOB, 1, FIRST, 8.5, "CancelledError"),
        ]
        error = {"errorCode": "ExecutorLost", "message": "It was not heard of."}
        lost = {"error": error, "failedAttempt": 1}
        second = {"executorId": "executor-b", "attempt": 2} | lost
        done = {"message": "attempt 2"}
        self.events = [
            event("requested", 1, None),
            event("started", 2, "e1", **RUNNING, executorId="executor-a"),
            event("requeued", 3, "e2", **QUEUED_AGAIN, **lost),
            event("requeued", 3, "e2", **QUEUED_AGAIN, **lost) | {"id": "loser"},
            event("started", 4, "e3", **RUNNING, **second),
            event("progressed", 5, "e4", **RUNNING, **second, progress=done),
            event("completed", 6, "e5", **ENDED | second, status="Completed", progress=done),
        ]

    def model(self) -> Model:
        """The model that has read the events."""
        model = Model()
        for offset, one in enumerate(self.events):
            model.read(0, offset, json.dumps(one).encode())
        return model

    def evidence(self) -> Evidence:
        """The evidence for a validator."""
        history = History(self.operations)
        history.kinds[JOB] = self.kind
        return Evidence(history, self.journal, self.model(), EXECUTORS, self.log_away)
