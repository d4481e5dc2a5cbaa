"""The facade's settings."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from fabric_jobs.settings import KafkaSettings

DAY_MS = 24 * 60 * 60 * 1000

#: A job ends within a day (L), is shown for 7 more (H = 8), and its records are kept twice as long.
MIN_RETENTION_MS = 2 * 8 * DAY_MS
RETENTION_MS = 17 * DAY_MS
#: What the largest event holds beside its payload: state, two errors at their bounds, progress.
EVENT_REST_BYTES = 64 * 1024


class FacadeSettings(KafkaSettings, frozen=True, kw_only=True):
    """How a facade replica runs; each field is an environment variable, as `FABRIC_JOBS_...`."""

    #: Where Fabric calls; loopback only while nothing is authenticated. Port 0 takes a free one.
    http_address: str = "127.0.0.1:5000"
    #: Where internal services and executors call; loopback only.
    grpc_address: str = "127.0.0.1:5001"
    #: What stands before every path of Fabric's.
    base_path: str = "/workload"
    #: The folder of the replica's state; memory if empty. One process has it to itself.
    state_dir: Path | None = None
    #: Whether a missing topic is made at start.
    create_topics: bool = False
    #: How many partitions the topic has; never to be changed once it is in use.
    events_partitions: Annotated[int, Meta(ge=1)] = 24
    #: Seconds until an append that was not read back is answered with 503 or UNAVAILABLE.
    append_deadline_s: Annotated[float, Meta(gt=0)] = 3.0
    #: The largest request body, in bytes.
    body_limit_bytes: Annotated[int, Meta(ge=1024)] = 256 * 1024
