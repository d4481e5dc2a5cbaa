"""The executor's metrics; `docs/observe.md` has them too."""

from fabric_jobs.runtime.telemetry.metrics import RUN_BOUNDS_S, MetricRegistry

REGISTRY = MetricRegistry("fabric_jobs.executor")

CLAIMS = REGISTRY.counter(
    "fabric_jobs_executor_claims_total",
    "Attempts that were asked for, and granted or refused.",
    *("job_type", "answer"),
)
HANDLER_SECONDS = REGISTRY.histogram(
    "fabric_jobs_executor_handler_seconds",
    "How long handlers ran, by what became of the run.",
    *("job_type", "outcome"),
    bounds=RUN_BOUNDS_S,
)
SLOTS = REGISTRY.gauge("fabric_jobs_executor_slots", "How many jobs this process runs at a time.")
FREE_SLOTS = REGISTRY.gauge("fabric_jobs_executor_free_slots", "How many more it would run now.")
CONNECTED = REGISTRY.gauge(
    "fabric_jobs_executor_connected", "Whether a stream to a facade is open: 1 or 0."
)
POISON = REGISTRY.counter(
    "fabric_jobs_executor_poison_records_total",
    "Records of the topic that this process read and that are no events.",
)

# Prometheus sees a series grow only if it was there before.
POISON.add(0)
