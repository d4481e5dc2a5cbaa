"""The facade's metrics, each declared once; `docs/observe.md` lists the same ones.

A counter or histogram covers what this facade did: sum it over all facades. A gauge, and the
counters of records, describe the whole log as this facade reads it: take the maximum.
"""

from fabric_jobs.contract.events import (
    Failed,
    KnownEvent,
    Requeued,
    RequeueReason,
    Started,
    type_of,
)
from fabric_jobs.facade.lifecycle import Command, Job, LoseLease, Verdict
from fabric_jobs.runtime.telemetry.metrics import RUN_BOUNDS_S, BoundedLabel, MetricRegistry

REGISTRY = MetricRegistry("fabric_jobs.facade")
#: The label of a job type. BoundedLabel, because job types come from Fabric's paths in any number.
job_type_label = BoundedLabel(100)

_ANSWER_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_START_BOUNDS_S = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200)

REQUEST_SECONDS = REGISTRY.histogram(
    "fabric_jobs_request_seconds",
    "Duration of HTTP requests; the count by status includes the outcomes of creates.",
    *("operation", "status"),
    bounds=_ANSWER_BOUNDS_S,
)
HTTP_REFUSALS = REGISTRY.counter(
    "fabric_jobs_http_refusals_total",
    "Requests that the HTTP server refused by its limits, before the application, by error code.",
    "code",
)
RPC_SECONDS = REGISTRY.histogram(
    "fabric_jobs_rpc_seconds",
    "Duration of unary gRPC calls, by gRPC status code.",
    *("method", "code"),
    bounds=_ANSWER_BOUNDS_S,
)
UNAVAILABLE = REGISTRY.counter(
    "fabric_jobs_unavailable_total",
    "Commands and reads that this facade could not answer at the time, by reason.",
    "reason",
)
APPEND_SECONDS = REGISTRY.histogram(
    "fabric_jobs_append_seconds",
    "Time from handing an event to Kafka until this facade has applied it.",
    bounds=_ANSWER_BOUNDS_S,
)
EVENTS = REGISTRY.counter(
    "fabric_jobs_events_total",
    "Events that this facade appended and that applied: jobs accepted, started, ended.",
    *("type", "job_type"),
)
LOST_RACES = REGISTRY.counter(
    "fabric_jobs_lost_races_total",
    "Events that this facade appended after another writer's; it then decided again.",
)
REDISPATCHES = REGISTRY.counter(
    "fabric_jobs_redispatches_total",
    "Further attempts that this facade dispatched: retries, lost leases, runs handed back.",
    "reason",
)
LEASES_LOST = REGISTRY.counter(
    "fabric_jobs_leases_lost_total",
    "Runs that this facade took from executors that were silent for a lease.",
)
OFFERS = REGISTRY.counter(
    "fabric_jobs_offers_total",
    "Waiting jobs that this facade offered to an executor, because none had claimed them.",
)
START_SECONDS = REGISTRY.histogram(
    "fabric_jobs_start_seconds",
    "Time from a job's acceptance to its first start, or to its failure if it never started.",
    "job_type",
    bounds=_START_BOUNDS_S,
)
TOKEN_EXCHANGES = REGISTRY.counter(
    "fabric_jobs_token_exchanges_total",
    "Tokens that this facade asked the authority for, by OAuth flow and outcome.",
    *("flow", "outcome"),
)
ACCESS_TOKENS = REGISTRY.counter(
    "fabric_jobs_access_tokens_total",
    "Access tokens that handlers asked this facade for, by kind and outcome.",
    *("kind", "outcome"),
)
RUN_SECONDS = REGISTRY.histogram(
    "fabric_jobs_run_seconds",
    "Time from an attempt's start to its end, by the event that ended it.",
    *("job_type", "type"),
    bounds=RUN_BOUNDS_S,
)
RECORDS = REGISTRY.counter(
    "fabric_jobs_records_total",
    "Events that were read from the topic, by the fold's verdict.",
    "verdict",
)
POISON_RECORDS = REGISTRY.counter(
    "fabric_jobs_poison_records_total",
    "Records that were skipped because they are not what the topic holds, or are out of bounds.",
    "topic",
)
REFUSED_RECORDS = REGISTRY.counter(
    "fabric_jobs_refused_records_total",
    "Records that were skipped because their codes are missing or wrong.",
    "topic",
)
UNOPENED_SECRETS = REGISTRY.counter(
    "fabric_jobs_unopened_secrets_total",
    "Jobs and events with a sealed secret that this facade could not open, by reason.",
    "reason",
)
FOLD_LAG_SECONDS = REGISTRY.gauge(
    "fabric_jobs_fold_lag_seconds",
    "Seconds since this facade last confirmed that it had read the whole log; normally below 10.",
)
UNFINISHED_JOBS = REGISTRY.gauge(
    "fabric_jobs_unfinished_jobs", "Jobs that are not final, by Fabric's status.", "status"
)
OLDEST_NOT_STARTED_SECONDS = REGISTRY.gauge(
    "fabric_jobs_oldest_not_started_seconds",
    "Age of the oldest job that no executor has started; 0 if there is none.",
)
QUEUED_JOBS = REGISTRY.gauge(
    "fabric_jobs_queued_jobs",
    "Jobs that wait for an executor's claim, without those of paused types.",
    "job_type",
)
EXECUTORS = REGISTRY.gauge(
    "fabric_jobs_executors", "Executors whose last heartbeat is at most one lease old."
)
FREE_SLOTS = REGISTRY.gauge("fabric_jobs_free_slots", "Free slots of those executors.")
CERTIFICATES_UNUSABLE = REGISTRY.gauge(
    "fabric_jobs_certificates_unusable",
    "1 if files with certificates can't be used, so that older certificates stay in use; else 0.",
    "use",
)
CERTIFICATE_LIFE_LEFT = REGISTRY.gauge(
    "fabric_jobs_certificate_life_left",
    "The part of its validity that a file with certificates has left, from 1 to 0, by its setting.",
    "setting",
)
LONGEST_LIFE_SECONDS = REGISTRY.gauge(
    "fabric_jobs_longest_life_seconds",
    "This facade's longest life of a job; all facades must have the same.",
)
READY = REGISTRY.gauge("fabric_jobs_ready", "1 if this facade is ready for requests, else 0.")

# Prometheus sees a counter grow only if its series was there before.
LOST_RACES.add(0)
LEASES_LOST.add(0)
OFFERS.add(0)
for _reason in RequeueReason:
    REDISPATCHES.add(0, _reason)
for _unopened in ("unknown_key", "damaged"):
    UNOPENED_SECRETS.add(0, _unopened)
for _outcome in ("given", "interaction_required", "refused", "away"):
    TOKEN_EXCHANGES.add(0, "on_behalf_of", _outcome)
for _outcome in ("given", "not_holder"):
    ACCESS_TOKENS.add(0, "user", _outcome)


def record_append(
    command: Command, before: Job | None, event: KnownEvent, verdict: Verdict, seconds: float
) -> None:
    """Counts an event that this facade appended and applied `seconds` later.

    `before` is the job that the event was decided on; None for a job's first event.
    """
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
    is_first_start = isinstance(event, Started) and state.attempt_start_time == state.start_time
    # A job that never starts misses the service level of starts, too.
    if is_first_start or (isinstance(event, Failed) and state.start_time is None):
        waited = event.time - state.create_time
        START_SECONDS.record(waited.total_seconds(), job_type)
    began = before and before.state.held and before.state.attempt_start_time
    if began and not state.held:
        ran = event.time - began
        RUN_SECONDS.record(ran.total_seconds(), job_type, type_of(event))
