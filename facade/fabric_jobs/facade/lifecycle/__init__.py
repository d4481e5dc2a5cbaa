"""The lifecycle of a job, pure: what may follow what, what a command leads to, what an event does.

Rule 1: what may follow what is said once, in `table.TABLE`.
Rule 2: `decide` is the only place that chooses, on the state that was applied here. What follows a
failed attempt is chosen by `fabric_jobs.contract.failures`.
Rule 3: `fold` never chooses: it takes the state that the event carries, so that replicas of
different versions agree. What it does not take is a duplicate, a loser of a race, or a broken log.

No I/O, no clock and no randomness: time and ids come in with the `Stamp`.
"""

from fabric_jobs.contract.failures import MAX_LIFE
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
    Stamp,
    TimeOutRun,
)
from fabric_jobs.facade.lifecycle.deadlines import Due, due
from fabric_jobs.facade.lifecycle.decide import decide
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled, Undecidable
from fabric_jobs.facade.lifecycle.fold import Verdict, fold
from fabric_jobs.facade.lifecycle.job import Job
from fabric_jobs.facade.lifecycle.runs import is_foreign

__all__ = [
    "MAX_LIFE",
    "Claim",
    "Command",
    "Decision",
    "Due",
    "Expire",
    "FailUnstarted",
    "ForceCancel",
    "HandBack",
    "Job",
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
    "Settled",
    "Stamp",
    "TimeOutRun",
    "Undecidable",
    "Verdict",
    "decide",
    "due",
    "fold",
    "is_foreign",
]
