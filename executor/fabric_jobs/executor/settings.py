"""The settings of an executor."""

from typing import Annotated

from msgspec import Meta

from fabric_jobs.runtime.settings import Address, Addresses, ClientSettings, LogFormat, addresses


class ExecutorSettings(ClientSettings, frozen=True, kw_only=True):
    """How an executor finds the log and the facades, and how much it runs."""

    #: Where one or more facades answer gRPC; one is used at a time.
    facades: Addresses = "127.0.0.1:5001"
    #: The pool: executors with the same handlers share the work. It is the consumer group's id.
    pool: Annotated[str, Meta(min_length=1)] = "default"
    #: How many jobs run at a time.
    slots: Annotated[int, Meta(ge=1)] = 10
    #: Seconds between two heartbeats.
    heartbeat_s: Annotated[float, Meta(gt=0)] = 5.0
    #: Seconds that running handlers may take to end when the executor stops.
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    #: A name that outlives restarts and that no other executor of the pool has, such as a
    #: StatefulSet's pod name: a restart then moves no partitions. Empty where there is none.
    executor_name: str = ""
    #: How a log line is written: for people, or as an object for machines.
    log_format: LogFormat = "console"
    #: Where `/livez` and `/metrics` answer whoever asks; nowhere if empty.
    metrics_address: Annotated[Address | None, Meta(examples=["127.0.0.1:9464"])] = None

    @property
    def facade_addresses(self) -> tuple[str, ...]:
        """The facades' addresses. Raises `SettingsError`."""
        return addresses(self.facades)
