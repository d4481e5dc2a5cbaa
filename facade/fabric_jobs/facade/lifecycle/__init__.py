"""The lifecycle of a job as pure functions: what a command leads to, and what an event changes.

Rule 1: `table.TABLE` alone says which event may follow in which phase.
Rule 2: `decide` alone chooses the next event, from the state that this replica has applied.
`fabric_jobs.contract.failures` chooses what follows a failed attempt.
Rule 3: `fold` never chooses. It copies the state that the event carries, so that replicas of
different versions agree. An event that `fold` does not apply is a duplicate, the loser of a race,
or the sign of a broken log.

There is no I/O, no clock and no randomness here: times and ids come in with the `Stamp`.
"""

from fabric_jobs.facade.lifecycle.commands import (
    Claim,
    Command,
    Expire,
    FailUnstarted,
    ForceCancel,
    HandBack,
    LoseLease,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    Request,
    RequestCancel,
    RequestRetry,
    Retry,
    SaveCheckpoint,
    Stamp,
    TimeOutRun,
)
from fabric_jobs.facade.lifecycle.deadlines import JobDeadline, next_deadline
from fabric_jobs.facade.lifecycle.decide import decide
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled, Undecidable
from fabric_jobs.facade.lifecycle.fold import Verdict, fold
from fabric_jobs.facade.lifecycle.job import Job, Sealed
from fabric_jobs.facade.lifecycle.lifetime import JobLifetime
from fabric_jobs.facade.lifecycle.runs import is_foreign

__all__ = [
    "Claim",
    "Command",
    "Decision",
    "Expire",
    "FailUnstarted",
    "ForceCancel",
    "HandBack",
    "Job",
    "JobDeadline",
    "JobLifetime",
    "LoseLease",
    "Reason",
    "Refusal",
    "ReportCompleted",
    "ReportFailed",
    "ReportProgress",
    "ReportStopped",
    "Request",
    "RequestCancel",
    "RequestRetry",
    "Retry",
    "SaveCheckpoint",
    "Sealed",
    "Settled",
    "Stamp",
    "TimeOutRun",
    "Undecidable",
    "Verdict",
    "decide",
    "fold",
    "is_foreign",
    "next_deadline",
]
