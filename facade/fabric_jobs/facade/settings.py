"""The facade's settings."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Literal

from msgspec import Meta

from fabric_jobs.contract.controls import CONTROLS_TOPIC
from fabric_jobs.contract.failures import (
    DEFAULT_LONGEST_LIFE,
    MAX_LONGEST_LIFE,
    MIN_LONGEST_LIFE,
)
from fabric_jobs.contract.grants import GRANTS_TOPIC
from fabric_jobs.contract.heartbeats import HEARTBEATS_TOPIC
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.lifecycle import JobLifetime
from fabric_jobs.runtime.settings import (
    Address,
    Guid,
    KafkaSettings,
    LogFormat,
    LogLevel,
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
HttpsUrl = Annotated[
    str,
    Meta(
        title="a URL of https",
        pattern=r"^https://[^\s/]+\S*$",
        examples=["https://login.microsoftonline.com"],
    ),
]
LogUrl = Annotated[
    str,
    Meta(
        title="a URL of http or https with {job_id} in it",
        pattern=r"^https?://[^\s/]+\S*\{job_id\}\S*$",
        examples=["https://logs.example.com/?q={job_id}&attempt={attempt}&from={start}&to={end}"],
    ),
]
KeyRing = Annotated[
    Secret | None,
    Meta(
        title="id:base64, or several separated by commas",
        examples=["2026-11:BASE64-OF-32-RANDOM-BYTES"],
    ),
]
UrlPath = Annotated[str, Meta(title="a path that begins with /", pattern=r"^/\S*$")]


class FacadeSettings(KafkaSettings, frozen=True, kw_only=True):
    """A facade's settings; a field's variable is `FABRIC_JOBS_` and its name in capitals."""

    #: The address on which Fabric calls the facade. Without authentication it must be on loopback.
    #: Port 0 takes a free port.
    http_address: Address = "127.0.0.1:5000"
    #: The address on which executors and internal services call gRPC. Without mutual TLS it must be
    #: on loopback.
    grpc_address: Address = "127.0.0.1:5001"
    #: The authorities that sign the certificates of gRPC clients. Set all three files or none.
    #: Without them gRPC has no TLS, and any client that can connect may call every method.
    grpc_tls_client_ca_file: PemFile = None
    #: The facade's certificate for gRPC. The facade reads a changed file again by itself.
    grpc_tls_cert_file: PemFile = None
    #: The key of the facade's certificate, without a passphrase.
    grpc_tls_key_file: PemFile = None
    #: Certificate names of executors: they may claim jobs, report on runs and send heartbeats.
    grpc_executors: tuple[str, ...] = ()
    #: Certificate names of readers: they may get, list and watch jobs, and list executors.
    grpc_readers: tuple[str, ...] = ()
    #: Certificate names of operators: they may do what readers may, cancel and retry jobs, and
    #: pause and resume job types.
    grpc_operators: tuple[str, ...] = ()
    #: Certificate names of facades: a new facade may take a copy of another one's state. A DNS
    #: name of each facade's certificate must be among them. Without them, where gRPC has mutual
    #: TLS, each new facade reads the whole topic.
    grpc_facades: tuple[str, ...] = ()
    #: The address at which other facades reach this one's gRPC, to copy its state. If empty, it is
    #: `FABRIC_JOBS_GRPC_ADDRESS`, unless that is 0.0.0.0 or [::]: then nobody copies from here.
    grpc_advertised_address: Annotated[Address | None, Meta(examples=["10.0.0.7:5001"])] = None
    #: The part of the URL before Fabric's own paths.
    base_path: UrlPath = "/workload"
    #: The folder for the replica's state. It is created if it is missing, and only one process may
    #: use it. If empty, the state is kept in memory.
    state_dir: Annotated[Path | None, Meta(examples=["/var/lib/fabric-jobs"])] = None
    #: Whether the facade creates a missing topic when it starts.
    create_topics: bool = False
    #: The number of partitions of the events topic. Never change it for a topic that is in use.
    events_partitions: Annotated[int, Meta(ge=1)] = 24
    #: The topic of the heartbeats of executors and facades.
    heartbeats_topic: Topic = HEARTBEATS_TOPIC
    #: The topic of the operators' controls, such as paused job types.
    controls_topic: Topic = CONTROLS_TOPIC
    #: The topic of the users' grants, which only facades may read. It exists only if a client
    #: secret or certificate is set.
    grants_topic: Topic = GRANTS_TOPIC
    #: The keys of record codes, as `id:base64` entries of 32 bytes or more, with commas or line
    #: breaks between them. All facades need the same keys, and no other program needs any. Without
    #: keys, a facade takes every record.
    record_keys: KeyRing = None
    #: Whether a record without a code is refused: `require` refuses it; `accept` takes it, for the
    #: time after the keys were introduced on a topic in use.
    record_codes: Literal["require", "accept"] = "require"
    #: The keys that seal the secrets of jobs, as `id:base64` entries of 32 bytes or more, with
    #: commas or line breaks between them. The first key seals, and each opens. All
    #: facades need the same keys, and no other program needs any. Without keys, nothing is sealed.
    sealing_keys: KeyRing = None
    #: Whether this facade seals with these keys: `seal` does; `open` only opens what is sealed, for
    #: the time until every facade has the keys.
    sealing: Literal["seal", "open"] = "seal"
    #: Seconds from a job's creation after which the service ends it, from 2 hours to Fabric's own
    #: bound, 24 days. It must be the same on all facades: one that differs is not ready. Facades
    #: remember a job for 7 days longer, and the events topic must keep records for twice that.
    longest_life_s: Annotated[
        int,
        Meta(ge=int(MIN_LONGEST_LIFE.total_seconds()), le=int(MAX_LONGEST_LIFE.total_seconds())),
    ] = int(DEFAULT_LONGEST_LIFE.total_seconds())
    #: Seconds without a heartbeat after which an executor loses its runs. If facades have different
    #: values, the shortest counts.
    lease_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    #: Seconds for which a stopping facade still answers, but reports itself as not ready, so that
    #: load balancers stop sending it requests.
    unready_s: Annotated[float, Meta(ge=0)] = 3.0
    #: Seconds that a command may take before the facade answers 503 over HTTP, or UNAVAILABLE over
    #: gRPC.
    append_deadline_s: Annotated[float, Meta(gt=0)] = 3.0
    #: The HTTP connections at a time. Beyond them, a connection without a request in progress is
    #: closed for each new one. At most half of the files that the process may open.
    http_connections: Annotated[int, Meta(ge=16, le=1_000_000)] = 1000
    #: Seconds after which a connection without a request is closed. It is longer than what proxies
    #: and HTTP clients wait, so that they close first, and no request meets a closed connection.
    http_idle_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    #: The largest request body, in bytes, without an item's definition.
    body_limit_bytes: Annotated[int, Meta(ge=1024)] = 256 * 1024
    #: The largest definition of an item in a request, in bytes.
    definition_limit_bytes: Annotated[int, Meta(ge=1024)] = 512 * 1024
    #: Whether the HTTP API accepts only Fabric as its caller. `off` is allowed on loopback only.
    authentication: Literal["on", "off"] = "on"
    #: The address of the authority that signs Fabric's tokens.
    authority: Url = "https://login.microsoftonline.com"
    #: Seconds between two fetches of the authority's keys. A key that the authority has withdrawn
    #: is accepted for so long at most, if the authority can be reached.
    authority_refresh_s: Annotated[float, Meta(ge=10, le=86_400)] = 300.0
    #: The tenant that published the workload. Fabric's app token must be of this tenant.
    publisher_tenant_id: Guid = ""
    #: The workload's Application ID URI, which is the audience of v1 tokens.
    audience: str = ""
    #: The workload's client id, which is the audience of v2 tokens.
    client_id: Guid = ""
    #: The client secret of the workload's Entra app. With it, or with a certificate, the facade
    #: gets tokens on behalf of the users who start jobs, and handlers may ask for them. That needs
    #: `FABRIC_JOBS_SEALING_KEYS` too.
    client_secret: Secret | None = None
    #: A certificate of the workload's Entra app with its key, in place of a client secret.
    client_certificate_file: PemFile = None
    #: The scope for which a user's token is exchanged when a job is accepted. The user must have
    #: consented to it. Handlers may ask for tokens of other scopes.
    on_behalf_of_scope: str = "https://storage.azure.com/.default"
    #: The address of the authority that exchanges tokens. If empty, it is the address of the
    #: authority that signs Fabric's tokens.
    token_authority: HttpsUrl = ""
    #: The authorities that sign the certificate of that address. Empty means the system's.
    token_authority_ca_file: PemFile = None
    #: Fabric's own app ids. Tokens of any other app are refused.
    fabric_app_ids: tuple[Guid, ...] = (
        "00000009-0000-0000-c000-000000000000",
        "d2450708-699c-41e3-8077-b0c8341509aa",
    )
    #: Seconds by which the authority's clock may differ from this machine's.
    clock_skew_s: Annotated[float, Meta(ge=0, le=300)] = 60.0
    #: Invoke types for which a create must carry a user's token beside Fabric's own.
    subject_token_required: tuple[InvokeType, ...] = (InvokeType.MANUAL,)
    #: Item types whose jobs are accepted; all if empty.
    item_types: tuple[str, ...] = ()
    #: Job types that are accepted; all if empty.
    job_types: tuple[str, ...] = ()
    #: The creates per second that one facade accepts from a tenant; 0 means no limit.
    tenant_creates_per_s: Annotated[float, Meta(ge=0)] = 0.0
    #: The unfinished jobs that a tenant may have at a time; 0 means no limit.
    tenant_unfinished_jobs: Annotated[int, Meta(ge=0)] = 0
    #: Whether `/schema` shows the HTTP API's description as a web page.
    docs: bool = False
    #: Whether the facade serves the job monitor, under `/monitor` of the HTTP address.
    monitor: bool = False
    #: The token with which readers sign in to the monitor, of 16 characters or more.
    monitor_reader_token: Secret | None = None
    #: The token with which operators sign in, of 16 characters or more. Operators may also cancel
    #: and retry jobs, and pause and resume job types. Without either token nobody signs in, every
    #: visitor is an operator, and the HTTP address must be on loopback.
    monitor_operator_token: Secret | None = None
    #: The issuer of OpenID Connect at which people sign in to the monitor, beside the tokens.
    monitor_openid_issuer: Annotated[
        Url, Meta(examples=["https://login.microsoftonline.com/YOUR-TENANT-ID/v2.0"])
    ] = ""
    #: The client id of the monitor's app at that issuer.
    monitor_openid_client_id: str = ""
    #: The client secret of that app. All facades need the same, because it also encrypts sessions.
    monitor_openid_client_secret: Secret | None = None
    #: App roles or groups whose members are readers.
    monitor_openid_readers: tuple[str, ...] = ()
    #: App roles or groups whose members are operators.
    monitor_openid_operators: tuple[str, ...] = ()
    #: The address of the monitor in the browser. The issuer sends people back to it, at
    #: `/sign-in/callback` below it.
    monitor_url: Annotated[Url, Meta(examples=["https://jobs.example.com/monitor"])] = ""
    #: The address of a trace, for the monitor's links. If empty, the monitor shows trace ids only.
    monitor_trace_url: TraceUrl = ""
    #: The address of an attempt's log lines, for the monitor's links. `{job_id}`, `{attempt}`, and
    #: the times `{start}` and `{end}` (ISO 8601, or as milliseconds `{start_ms}` and `{end_ms}`)
    #: stand for those of the attempt.
    monitor_log_url: LogUrl = ""
    #: The form of a log line: text for people (`brief` leaves out the ids of requests and traces),
    #: or a JSON object for machines.
    log_format: LogFormat = "console"
    #: The least severe level that is logged. `debug` includes the steps of the libraries.
    log_level: LogLevel = "info"

    @property
    def gets_user_tokens(self) -> bool:
        """Whether the facade gets tokens on behalf of users, and so has a topic of grants."""
        return bool(self.client_secret or self.client_certificate_file)

    @property
    def lifetime(self) -> JobLifetime:
        """How long a job may live, and what follows from it."""
        return JobLifetime(timedelta(seconds=self.longest_life_s))

    def state_file(self) -> Path | None:
        """The file of the replica's state; None if the state is kept in memory.

        Creates the folder. Raises `SettingsError` if the folder can't be written to.
        """
        if self.state_dir is None:
            return None
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryFile(dir=self.state_dir):
                pass
        except OSError as error:
            raise SettingsError(
                f"{variable('state_dir')}={str(self.state_dir)!r} can't be written to "
                f"({error.strerror}): name a folder that this user may write to, such as "
                "/var/lib/fabric-jobs."
            ) from error
        return self.state_dir / "replica.sqlite"
