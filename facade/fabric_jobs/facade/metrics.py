"""The facade's metrics; `docs/observe.md` has them too.

What a facade decided it counts alone, so the sum over all replicas is true. What it sees of the
whole log, every replica shows: there the maximum is.
"""

from fabric_jobs.contract.events import KnownEvent, Requeued, RequeueReason, Started, type_of
from fabric_jobs.facade.lifecycle import Command, Job, LoseLease, Verdict
from fabric_jobs.runtime.telemetry.metrics import Bounded, Meters

METERS = Meters("fabric_jobs.facade")
#: Job types that labels tell apart: they come from Fabric's paths, in any number.
job_type_label = Bounded(100)

_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_START_S = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200)
_RUN_S = (0.1, 1, 10, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400)

REQUEST_SECONDS = METERS.histogram(
    "fabric_jobs_request_seconds",
    "How long HTTP requests took; counted by status, so creates by outcome too.",
    *("operation", "status"),
    bounds=_ANSWER_S,
)
RPC_SECONDS = METERS.histogram(
    "fabric_jobs_rpc_seconds",
    "How long gRPC calls with one answer took, by its code.",
    *("method", "code"),
    bounds=_ANSWER_S,
)
APPEND_SECONDS = METERS.histogram(
    "fabric_jobs_append_seconds",
    "From handing an event to Kafka until it was read back here.",
    bounds=_ANSWER_S,
)
EVENTS = METERS.counter(
    "fabric_jobs_events_total",
    "Events that were appended here and applied: jobs accepted, started, ended.",
    *("type", "job_type"),
)
LOST_RACES = METERS.counter(
    "fabric_jobs_lost_races_total",
    "Events that were appended here and came second: decided again.",
)
REDISPATCHES = METERS.counter(
    "fabric_jobs_redispatches_total",
    "Further attempts that were dispatched here: retries, lost leases, runs handed back.",
    "reason",
)
LEASES_LOST = METERS.counter(
    "fabric_jobs_leases_lost_total",
    "Runs that were taken here from executors that were silent for a lease.",
)
START_SECONDS = METERS.histogram(
    "fabric_jobs_start_seconds",
    "From a job's acceptance to its first start.",
    "job_type",
    bounds=_START_S,
)
RUN_SECONDS = METERS.histogram(
    "fabric_jobs_run_seconds",
    "From an attempt's start to its end, by the event that ended it.",
    *("job_type", "type"),
    bounds=_RUN_S,
)
RECORDS = METERS.counter(
    "fabric_jobs_records_total",
    "Records of the topic that were read, by what the fold made of them.",
    "verdict",
)
FOLD_LAG_SECONDS = METERS.gauge(
    "fabric_jobs_fold_lag_seconds",
    "For how long it is not known that all of the log was read; below 10 where all is well.",
)
UNFINISHED_JOBS = METERS.gauge(
    "fabric_jobs_unfinished_jobs", "Jobs that are not final, by Fabric's status.", "status"
)
OLDEST_NOT_STARTED_SECONDS = METERS.gauge(
    "fabric_jobs_oldest_not_started_seconds",
    "The age of the oldest job that no executor has started; 0 without one.",
)
QUEUED_JOBS = METERS.gauge(
    "fabric_jobs_queued_jobs", "Jobs that wait for an executor's claim.", "job_type"
)
EXECUTORS = METERS.gauge("fabric_jobs_executors", "Executors that were heard of within a lease.")
FREE_SLOTS = METERS.gauge("fabric_jobs_free_slots", "Slots of theirs that are free.")
READY = METERS.gauge("fabric_jobs_ready", "Whether this replica is to be sent requests: 1 or 0.")

# Prometheus sees a series grow only if it was there before.
LOST_RACES.add(0)
LEASES_LOST.add(0)
for _reason in RequeueReason:
    REDISPATCHES.add(0, _reason)


def appended(
    command: Command, before: Job | None, event: KnownEvent, verdict: Verdict, seconds: float
) -> None:
    """What became of an event that this replica appended upon `before`, and how long it took."""
    APPEND_SECONDS.record(seconds)
    if verdict is not Verdict.APPLIED:
        if verdict is Verdict.LOST:
            LOST_RACES.add(1)
        return
    state = event.data.state
    job_type = job_type_label(state.job_type)
    EVENTS.add(1, type_of(event), job_type)
    if isinstance(command, LoseLease):
        LEASES_LOST.add(1)
    if isinstance(event, Requeued):
        REDISPATCHES.add(1, event.data.reason)
    if isinstance(event, Started) and state.attempt_start_time == state.start_time:
        waited = event.time - state.create_time
        START_SECONDS.record(waited.total_seconds(), {"job_type": job_type})
    began = before and before.state.held and before.state.attempt_start_time
    if began and not state.held:
        ran = event.time - began
        RUN_SECONDS.record(ran.total_seconds(), {"job_type": job_type, "type": type_of(event)})
