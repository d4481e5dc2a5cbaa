"""The settings of an executor."""

from typing import Annotated

from msgspec import Meta

from fabric_jobs.contract.heartbeats import MAX_SLOTS
from fabric_jobs.contract.scalars import MAX_NAME_CHARS
from fabric_jobs.runtime.settings import (
    Address,
    Addresses,
    ClientSettings,
    LogFormat,
    LogLevel,
    addresses,
)


class ExecutorSettings(ClientSettings, frozen=True, kw_only=True):
    """The settings of an executor: where Kafka and the facades are, and how many jobs it runs."""

    #: The gRPC addresses of one or more facades. The executor uses one at a time.
    facades: Addresses = "127.0.0.1:5001"
    #: The name of the pool, which is also the id of its consumer group. Executors of a pool share
    #: the jobs, so they must have the same handlers.
    pool: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)] = "default"
    #: The number of jobs that run at a time.
    slots: Annotated[int, Meta(ge=1, le=MAX_SLOTS)] = 10
    #: The number of jobs that are read ahead and wait in memory for a slot. The executor chooses
    #: among them which to start next.
    read_ahead_jobs: Annotated[int, Meta(ge=1)] = 1000
    #: The bytes of payloads that these jobs may have in all. The last read may exceed it.
    read_ahead_bytes: Annotated[int, Meta(ge=1)] = 16 * 1024 * 1024
    #: Seconds between two heartbeats: a quarter of the facades' `FABRIC_JOBS_LEASE_S` at most,
    #: because an executor loses its runs after so long without one.
    heartbeat_s: Annotated[float, Meta(gt=0)] = 5.0
    #: Seconds that running handlers may take to end when the executor stops. Then their jobs are
    #: handed back.
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    #: Seconds that the lifespan may take to start. Then the executor ends with an error.
    lifespan_start_s: Annotated[float, Meta(gt=0)] = 60.0
    #: A name that stays the same over restarts and is unique in the pool, such as the pod name in a
    #: StatefulSet. With a name, a restart moves no partitions. Empty: the executor has no name.
    executor_name: str = ""
    #: The format of log lines: `console` for people, `brief` for people without the ids of requests
    #: and traces, `json` for programs.
    log_format: LogFormat = "console"
    #: The least severe level that is logged. `debug` includes the steps of the libraries.
    log_level: LogLevel = "info"
    #: The address of `/livez` and `/metrics`, which need no authentication. Empty: no address.
    metrics_address: Annotated[Address | None, Meta(examples=["127.0.0.1:9464"])] = None

    @property
    def facade_addresses(self) -> tuple[str, ...]:
        """The addresses of the facades. Raises `SettingsError` if one is not HOST:PORT."""
        return addresses(self.facades)
