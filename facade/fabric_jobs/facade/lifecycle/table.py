"""What may follow what."""

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import JobPhase

#: From a job's phase (none before its first event), by event, to the phase after it.
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
        events.AttemptFailed: JobPhase.WAITING,
        events.Requeued: JobPhase.QUEUED,
        events.CancelRequested: JobPhase.STOPPING,
        events.Completed: JobPhase.ENDED,
        events.Failed: JobPhase.ENDED,
    },
    JobPhase.STOPPING: {
        events.Progressed: JobPhase.STOPPING,
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
