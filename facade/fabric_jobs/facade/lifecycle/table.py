"""The transitions of a job."""

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import JobPhase

#: For each phase of a job (None before its first event): each event that may follow, and the phase
#: after that event.
TABLE: dict[JobPhase | None, dict[type[events.KnownEvent], JobPhase]] = {
    None: {
        events.Requested: JobPhase.QUEUED,
    },
    JobPhase.QUEUED: {
        events.Started: JobPhase.RUNNING,
        events.Failed: JobPhase.ENDED,
        events.Cancelled: JobPhase.ENDED,
    },
    JobPhase.RUNNING: {
        events.Progressed: JobPhase.RUNNING,
        events.Checkpointed: JobPhase.RUNNING,
        events.AttemptFailed: JobPhase.WAITING,
        events.Requeued: JobPhase.QUEUED,
        events.CancelRequested: JobPhase.STOPPING,
        events.Completed: JobPhase.ENDED,
        events.Failed: JobPhase.ENDED,
    },
    JobPhase.STOPPING: {
        events.Progressed: JobPhase.STOPPING,
        events.Checkpointed: JobPhase.STOPPING,
        events.Completed: JobPhase.ENDED,
        events.Failed: JobPhase.ENDED,
        events.Cancelled: JobPhase.ENDED,
    },
    JobPhase.WAITING: {
        events.Requeued: JobPhase.QUEUED,
        events.Failed: JobPhase.ENDED,
        events.Cancelled: JobPhase.ENDED,
    },
    JobPhase.ENDED: {},
}
