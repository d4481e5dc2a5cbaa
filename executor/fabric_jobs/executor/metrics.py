"""The executor's metrics. A test holds the table in `docs/observe.md` to them."""

from fabric_jobs.runtime.telemetry.metrics import RUN_BOUNDS_S, MetricRegistry

REGISTRY = MetricRegistry("fabric_jobs.executor")

CLAIMS = REGISTRY.counter(
    "fabric_jobs_executor_claims_total",
    "Claims that were granted or refused.",
    *("job_type", "answer"),
)
HANDLER_SECONDS = REGISTRY.histogram(
    "fabric_jobs_executor_handler_seconds",
    "Seconds that handlers ran, by the outcome of the run.",
    *("job_type", "outcome"),
    bounds=RUN_BOUNDS_S,
)
SLOTS = REGISTRY.gauge(
    "fabric_jobs_executor_slots", "Jobs that this process runs at a time at most."
)
FREE_SLOTS = REGISTRY.gauge(
    "fabric_jobs_executor_free_slots", "Jobs that this process can start now: its free slots."
)
WAITING = REGISTRY.gauge(
    "fabric_jobs_executor_waiting_jobs", "Jobs that this process has read and that wait for a slot."
)
HUNG_SLOTS = REGISTRY.gauge(
    "fabric_jobs_executor_hung_slots",
    "Slots that are held by handlers that do not end, although their runs are over.",
)
CONNECTED = REGISTRY.gauge(
    "fabric_jobs_executor_connected", "1 while a stream to a facade is open, else 0."
)
POISON = REGISTRY.counter(
    "fabric_jobs_executor_poison_records_total",
    "Records that this process read on the topic and that are not events.",
)

# The series must exist before its first increase, because Prometheus would not see that increase.
POISON.add(0)
HUNG_SLOTS.set(0)
