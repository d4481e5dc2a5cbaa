"""The facade's settings."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Literal

from msgspec import Meta

from fabric_jobs.contract.heartbeats import HEARTBEATS_TOPIC
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.runtime.settings import (
    Address,
    Guid,
    KafkaSettings,
    LogFormat,
    PemFile,
    Secret,
    SettingsError,
    Topic,
    Url,
    variable,
)

TraceUrl = Annotated[
    str,
    Meta(
        title="a URL of http or https with {trace_id} in it",
        pattern=r"^https?://[^\s/]+\S*\{trace_id\}\S*$",
        examples=["https://jaeger.example.com/trace/{trace_id}"],
    ),
]
UrlPath = Annotated[str, Meta(title="a path that begins with /", pattern=r"^/\S*$")]


class FacadeSettings(KafkaSettings, frozen=True, kw_only=True):
    """How a facade replica runs; each field is an environment variable, as `FABRIC_JOBS_...`."""

    #: Where Fabric calls; loopback only without authentication. Port 0 takes a free one.
    http_address: Address = "127.0.0.1:5000"
    #: Where internal services and executors call; loopback only without mutual TLS.
    grpc_address: Address = "127.0.0.1:5001"
    #: The authorities that sign the certificates of gRPC clients. The three files go together;
    #: without them gRPC is plain, and who reaches it may do everything.
    grpc_tls_client_ca_file: PemFile = None
    #: The facade's certificate for gRPC. Each of the files is read again when it changes.
    grpc_tls_cert_file: PemFile = None
    #: That certificate's key, without a passphrase.
    grpc_tls_key_file: PemFile = None
    #: Certificate names that may open a session: claim, report, heartbeat.
    grpc_executors: tuple[str, ...] = ()
    #: Certificate names that may get, list and watch jobs, and list executors.
    grpc_readers: tuple[str, ...] = ()
    #: Certificate names that may cancel and retry jobs, beside all that readers may.
    grpc_operators: tuple[str, ...] = ()
    #: What stands before every path of Fabric's.
    base_path: UrlPath = "/workload"
    #: The folder of the replica's state, made where missing; memory if empty. One process has it.
    state_dir: Annotated[Path | None, Meta(examples=["/var/lib/fabric-jobs"])] = None
    #: Whether a missing topic is made at start.
    create_topics: bool = False
    #: How many partitions the topic has; never to be changed once it is in use.
    events_partitions: Annotated[int, Meta(ge=1)] = 24
    #: The topic of the executors' heartbeats.
    heartbeats_topic: Topic = HEARTBEATS_TOPIC
    #: Seconds of silence after which a run is taken from its executor; an hour at most.
    lease_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    #: Seconds that a stopping replica answers on while it says that it is not ready, for those who
    #: send it requests to notice.
    unready_s: Annotated[float, Meta(ge=0)] = 3.0
    #: Seconds until an append that was not read back is answered with 503 or UNAVAILABLE.
    append_deadline_s: Annotated[float, Meta(gt=0)] = 3.0
    #: The largest request body, in bytes.
    body_limit_bytes: Annotated[int, Meta(ge=1024)] = 256 * 1024
    #: Whether callers of the HTTP API must be Fabric: `on`, or `off` on loopback.
    authentication: Literal["on", "off"] = "on"
    #: The address of the authority that signs Fabric's tokens.
    authority: Url = "https://login.microsoftonline.com"
    #: The tenant that published the workload: that of Fabric's app token.
    publisher_tenant_id: Guid = ""
    #: The workload's Application ID URI: the audience of v1 tokens.
    audience: str = ""
    #: The workload's client id: the audience of v2 tokens.
    client_id: Guid = ""
    #: The app ids that are Fabric's.
    fabric_app_ids: tuple[Guid, ...] = (
        "00000009-0000-0000-c000-000000000000",
        "d2450708-699c-41e3-8077-b0c8341509aa",
    )
    #: Seconds that the authority's clock may differ.
    clock_skew_s: Annotated[float, Meta(ge=0, le=300)] = 60.0
    #: Invoke types whose create must come with a user's token, beside Fabric's own.
    subject_token_required: tuple[InvokeType, ...] = (InvokeType.MANUAL,)
    #: Item types that are served; all if empty.
    item_types: tuple[str, ...] = ()
    #: Job types that are served; all if empty.
    job_types: tuple[str, ...] = ()
    #: Creates a second that a tenant may send to one replica; 0 means any.
    tenant_creates_per_s: Annotated[float, Meta(ge=0)] = 0.0
    #: Jobs of a tenant that may be unfinished at a time; 0 means any.
    tenant_unfinished_jobs: Annotated[int, Meta(ge=0)] = 0
    #: Whether pages about the HTTP API are served beside its description.
    docs: bool = False
    #: Whether the job monitor is served, under `/monitor` of the HTTP address.
    monitor: bool = False
    #: What readers of the monitor sign in with: 16 characters or more.
    monitor_reader_token: Secret | None = None
    #: What operators sign in with, who may also cancel jobs. Without either token, which is for
    #: loopback only, nobody signs in, and whoever reaches the monitor is an operator.
    monitor_operator_token: Secret | None = None
    #: Where the monitor's links to traces lead; if empty, it shows their ids alone.
    monitor_trace_url: TraceUrl = ""
    #: How a log line is written: for people, or as an object for machines.
    log_format: LogFormat = "console"

    def state_file(self) -> Path | None:
        """The file of the replica's state, in a folder that is there. Raises `SettingsError`."""
        if self.state_dir is None:
            return None
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.state_dir):
                pass
        except OSError as error:
            raise SettingsError(
                f"{variable('state_dir')}={str(self.state_dir)!r} can't be written to "
                f"({error.strerror}): name a folder that this user may write to, such as "
                "/var/lib/fabric-jobs."
            ) from error
        return self.state_dir / "replica.sqlite"
