"""The lifecycle of a job, pure: what may follow what, what a command leads to, what an event does.

Rule 1: what may follow what is said once, in `table.TABLE`.
Rule 2: `decide` is the only place that chooses, of a failure by `fabric_jobs.failures`; it is asked
on the state that was applied here.
Rule 3: `fold` never chooses: it takes the state that the event carries, so that replicas of
different versions agree. What it does not take is a duplicate, a loser of a race, or a broken log.

No I/O, no clock and no randomness: time and ids come in with the `Stamp`.
"""

from fabric_jobs.failures import LONGEST_LIFE
from facade.lifecycle.commands import (
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
from facade.lifecycle.deadlines import Due, due
from facade.lifecycle.decide import decide
from facade.lifecycle.decision import Decision, Reason, Refusal, Settled, Undecidable
from facade.lifecycle.fold import Verdict, fold
from facade.lifecycle.job import Job
from facade.lifecycle.runs import is_foreign

__all__ = [
    "LONGEST_LIFE",
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
