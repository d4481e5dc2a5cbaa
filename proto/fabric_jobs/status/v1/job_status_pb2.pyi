import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobInstanceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_INSTANCE_STATUS_UNSPECIFIED: _ClassVar[JobInstanceStatus]
    JOB_INSTANCE_STATUS_NOT_STARTED: _ClassVar[JobInstanceStatus]
    JOB_INSTANCE_STATUS_IN_PROGRESS: _ClassVar[JobInstanceStatus]
    JOB_INSTANCE_STATUS_COMPLETED: _ClassVar[JobInstanceStatus]
    JOB_INSTANCE_STATUS_FAILED: _ClassVar[JobInstanceStatus]
    JOB_INSTANCE_STATUS_CANCELLED: _ClassVar[JobInstanceStatus]

class JobPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_PHASE_UNSPECIFIED: _ClassVar[JobPhase]
    JOB_PHASE_QUEUED: _ClassVar[JobPhase]
    JOB_PHASE_RUNNING: _ClassVar[JobPhase]
    JOB_PHASE_STOPPING: _ClassVar[JobPhase]
    JOB_PHASE_WAITING: _ClassVar[JobPhase]
    JOB_PHASE_ENDED: _ClassVar[JobPhase]

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_REASON_UNSPECIFIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_FINAL: _ClassVar[RefusalReason]
    REFUSAL_REASON_SUPERSEDED: _ClassVar[RefusalReason]
    REFUSAL_REASON_GRANTED_TO_ANOTHER: _ClassVar[RefusalReason]
    REFUSAL_REASON_NOT_DISPATCHED: _ClassVar[RefusalReason]
    REFUSAL_REASON_INVALID: _ClassVar[RefusalReason]
    REFUSAL_REASON_PAUSED: _ClassVar[RefusalReason]
    REFUSAL_REASON_NOT_CANCELLED: _ClassVar[RefusalReason]
    REFUSAL_REASON_SEALED: _ClassVar[RefusalReason]

class TokenKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKEN_KIND_UNSPECIFIED: _ClassVar[TokenKind]
    TOKEN_KIND_USER: _ClassVar[TokenKind]
    TOKEN_KIND_APP: _ClassVar[TokenKind]
JOB_INSTANCE_STATUS_UNSPECIFIED: JobInstanceStatus
JOB_INSTANCE_STATUS_NOT_STARTED: JobInstanceStatus
JOB_INSTANCE_STATUS_IN_PROGRESS: JobInstanceStatus
JOB_INSTANCE_STATUS_COMPLETED: JobInstanceStatus
JOB_INSTANCE_STATUS_FAILED: JobInstanceStatus
JOB_INSTANCE_STATUS_CANCELLED: JobInstanceStatus
JOB_PHASE_UNSPECIFIED: JobPhase
JOB_PHASE_QUEUED: JobPhase
JOB_PHASE_RUNNING: JobPhase
JOB_PHASE_STOPPING: JobPhase
JOB_PHASE_WAITING: JobPhase
JOB_PHASE_ENDED: JobPhase
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_FINAL: RefusalReason
REFUSAL_REASON_SUPERSEDED: RefusalReason
REFUSAL_REASON_GRANTED_TO_ANOTHER: RefusalReason
REFUSAL_REASON_NOT_DISPATCHED: RefusalReason
REFUSAL_REASON_INVALID: RefusalReason
REFUSAL_REASON_PAUSED: RefusalReason
REFUSAL_REASON_NOT_CANCELLED: RefusalReason
REFUSAL_REASON_SEALED: RefusalReason
TOKEN_KIND_UNSPECIFIED: TokenKind
TOKEN_KIND_USER: TokenKind
TOKEN_KIND_APP: TokenKind

class Job(_message.Message):
    __slots__ = ("job_id", "tenant_id", "workspace_id", "item_type", "item_id", "job_type", "invoke_type", "status", "phase", "attempt", "failures", "executor_id", "create_time", "start_time", "due_time", "end_time", "progress", "error", "sequence", "activity_id", "request_id", "exhausted", "traceparent", "claim_traceparent", "replaced_by", "hint", "sealed_key_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    INVOKE_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    CLAIM_TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    REPLACED_BY_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    SEALED_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    invoke_type: str
    status: JobInstanceStatus
    phase: JobPhase
    attempt: int
    failures: int
    executor_id: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    progress: Progress
    error: Error
    sequence: int
    activity_id: str
    request_id: str
    exhausted: bool
    traceparent: str
    claim_traceparent: str
    replaced_by: str
    hint: str
    sealed_key_id: str
    def __init__(self, job_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., workspace_id: _Optional[str] = ..., item_type: _Optional[str] = ..., item_id: _Optional[str] = ..., job_type: _Optional[str] = ..., invoke_type: _Optional[str] = ..., status: _Optional[_Union[JobInstanceStatus, str]] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., attempt: _Optional[int] = ..., failures: _Optional[int] = ..., executor_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., sequence: _Optional[int] = ..., activity_id: _Optional[str] = ..., request_id: _Optional[str] = ..., exhausted: _Optional[bool] = ..., traceparent: _Optional[str] = ..., claim_traceparent: _Optional[str] = ..., replaced_by: _Optional[str] = ..., hint: _Optional[str] = ..., sealed_key_id: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("fraction", "message")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    message: str
    def __init__(self, fraction: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("error_code", "message", "source", "permanent", "message_parameters", "details")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    error_code: str
    message: str
    source: str
    permanent: bool
    message_parameters: _containers.RepeatedScalarFieldContainer[str]
    details: _containers.RepeatedCompositeFieldContainer[ErrorDetail]
    def __init__(self, error_code: _Optional[str] = ..., message: _Optional[str] = ..., source: _Optional[str] = ..., permanent: _Optional[bool] = ..., message_parameters: _Optional[_Iterable[str]] = ..., details: _Optional[_Iterable[_Union[ErrorDetail, _Mapping]]] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("error_code", "message", "message_parameters", "additional_parameters")
    class AdditionalParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    ADDITIONAL_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    error_code: str
    message: str
    message_parameters: _containers.RepeatedScalarFieldContainer[str]
    additional_parameters: _containers.ScalarMap[str, str]
    def __init__(self, error_code: _Optional[str] = ..., message: _Optional[str] = ..., message_parameters: _Optional[_Iterable[str]] = ..., additional_parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("max_attempts", "initial_backoff", "backoff_multiplier", "max_backoff", "jitter", "run_timeout", "cancel_grace")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    RUN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_GRACE_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    initial_backoff: _duration_pb2.Duration
    backoff_multiplier: float
    max_backoff: _duration_pb2.Duration
    jitter: float
    run_timeout: _duration_pb2.Duration
    cancel_grace: _duration_pb2.Duration
    def __init__(self, max_attempts: _Optional[int] = ..., initial_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., backoff_multiplier: _Optional[float] = ..., max_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., jitter: _Optional[float] = ..., run_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cancel_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("partition", "offset")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    partition: int
    offset: int
    def __init__(self, partition: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("event_id", "partition", "offset")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    partition: int
    offset: int
    def __init__(self, event_id: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "claims", "reports", "heartbeat")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    claims: _containers.RepeatedCompositeFieldContainer[Claim]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    heartbeat: Heartbeat
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., claims: _Optional[_Iterable[_Union[Claim, _Mapping]]] = ..., reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("executor_id", "pool", "job_types", "slots", "version")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    pool: str
    job_types: _containers.RepeatedCompositeFieldContainer[JobType]
    slots: int
    version: str
    def __init__(self, executor_id: _Optional[str] = ..., pool: _Optional[str] = ..., job_types: _Optional[_Iterable[_Union[JobType, _Mapping]]] = ..., slots: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class JobType(_message.Message):
    __slots__ = ("item_type", "job_type", "slots", "run_timeout", "priority")
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RUN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    item_type: str
    job_type: str
    slots: int
    run_timeout: _duration_pb2.Duration
    priority: int
    def __init__(self, item_type: _Optional[str] = ..., job_type: _Optional[str] = ..., slots: _Optional[int] = ..., run_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., priority: _Optional[int] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("entry_id", "job_id", "attempt", "record", "policy", "traceparent")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    entry_id: int
    job_id: str
    attempt: int
    record: Record
    policy: Policy
    traceparent: str
    def __init__(self, entry_id: _Optional[int] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., record: _Optional[_Union[Record, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("entry_id", "job_id", "attempt", "grant", "progress", "completed", "failed", "stopped", "handed_back", "checkpoint", "traceparent", "traceback", "log_tail", "end_time")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    HANDED_BACK_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    entry_id: int
    job_id: str
    attempt: int
    grant: Record
    progress: Progress
    completed: Completed
    failed: Error
    stopped: Stopped
    handed_back: HandedBack
    checkpoint: bytes
    traceparent: str
    traceback: str
    log_tail: str
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, entry_id: _Optional[int] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., grant: _Optional[_Union[Record, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., completed: _Optional[_Union[Completed, _Mapping]] = ..., failed: _Optional[_Union[Error, _Mapping]] = ..., stopped: _Optional[_Union[Stopped, _Mapping]] = ..., handed_back: _Optional[_Union[HandedBack, _Mapping]] = ..., checkpoint: _Optional[bytes] = ..., traceparent: _Optional[str] = ..., traceback: _Optional[str] = ..., log_tail: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Completed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Stopped(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HandedBack(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("runs", "claims", "free_slots", "full_job_types", "hung_slots")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    FULL_JOB_TYPES_FIELD_NUMBER: _ClassVar[int]
    HUNG_SLOTS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    claims: _containers.RepeatedCompositeFieldContainer[Run]
    free_slots: int
    full_job_types: _containers.RepeatedCompositeFieldContainer[JobType]
    hung_slots: int
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., claims: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., free_slots: _Optional[int] = ..., full_job_types: _Optional[_Iterable[_Union[JobType, _Mapping]]] = ..., hung_slots: _Optional[int] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("job_id", "attempt")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("answers", "cancels", "stops", "offers")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    STOPS_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    cancels: _containers.RepeatedCompositeFieldContainer[Run]
    stops: _containers.RepeatedCompositeFieldContainer[Run]
    offers: _containers.RepeatedCompositeFieldContainer[Offer]
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., stops: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., offers: _Optional[_Iterable[_Union[Offer, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("entry_id", "accepted", "refused", "undecided", "dispatch")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    UNDECIDED_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    entry_id: int
    accepted: Record
    refused: Refusal
    undecided: Undecided
    dispatch: Dispatch
    def __init__(self, entry_id: _Optional[int] = ..., accepted: _Optional[_Union[Record, _Mapping]] = ..., refused: _Optional[_Union[Refusal, _Mapping]] = ..., undecided: _Optional[_Union[Undecided, _Mapping]] = ..., dispatch: _Optional[_Union[Dispatch, _Mapping]] = ...) -> None: ...

class Dispatch(_message.Message):
    __slots__ = ("payload", "checkpoint", "definition")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    checkpoint: bytes
    definition: bytes
    def __init__(self, payload: _Optional[bytes] = ..., checkpoint: _Optional[bytes] = ..., definition: _Optional[bytes] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: RefusalReason
    message: str
    def __init__(self, reason: _Optional[_Union[RefusalReason, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Undecided(_message.Message):
    __slots__ = ("message", "reason")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    message: str
    reason: str
    def __init__(self, message: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("job", "record", "payload", "checkpoint", "definition")
    JOB_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    job: Job
    record: Record
    payload: bytes
    checkpoint: bytes
    definition: bytes
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., record: _Optional[_Union[Record, _Mapping]] = ..., payload: _Optional[bytes] = ..., checkpoint: _Optional[bytes] = ..., definition: _Optional[bytes] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job", "position", "payload", "definition", "checkpoint", "log_tail")
    JOB_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    job: Job
    position: Position
    payload: bytes
    definition: bytes
    checkpoint: bytes
    log_tail: str
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., payload: _Optional[bytes] = ..., definition: _Optional[bytes] = ..., checkpoint: _Optional[bytes] = ..., log_tail: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("statuses", "job_type", "page_size", "page_token", "item_type", "workspace_id", "item_id", "exhausted", "start_create_time", "end_create_time", "unreplaced")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    START_CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNREPLACED_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[JobInstanceStatus]
    job_type: str
    page_size: int
    page_token: str
    item_type: str
    workspace_id: str
    item_id: str
    exhausted: bool
    start_create_time: _timestamp_pb2.Timestamp
    end_create_time: _timestamp_pb2.Timestamp
    unreplaced: bool
    def __init__(self, statuses: _Optional[_Iterable[_Union[JobInstanceStatus, str]]] = ..., job_type: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., item_type: _Optional[str] = ..., workspace_id: _Optional[str] = ..., item_id: _Optional[str] = ..., exhausted: _Optional[bool] = ..., start_create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unreplaced: _Optional[bool] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token", "positions")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...

class WatchJobsRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class WatchJobsResponse(_message.Message):
    __slots__ = ("job", "event_id", "event_type", "position", "event_time")
    JOB_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    job: Job
    event_id: str
    event_type: str
    position: Position
    event_time: _timestamp_pb2.Timestamp
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., event_id: _Optional[str] = ..., event_type: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Executor(_message.Message):
    __slots__ = ("executor_id", "pool", "job_types", "slots", "free_slots", "heartbeat_time", "hung_slots", "version")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIME_FIELD_NUMBER: _ClassVar[int]
    HUNG_SLOTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    pool: str
    job_types: _containers.RepeatedCompositeFieldContainer[JobType]
    slots: int
    free_slots: int
    heartbeat_time: _timestamp_pb2.Timestamp
    hung_slots: int
    version: str
    def __init__(self, executor_id: _Optional[str] = ..., pool: _Optional[str] = ..., job_types: _Optional[_Iterable[_Union[JobType, _Mapping]]] = ..., slots: _Optional[int] = ..., free_slots: _Optional[int] = ..., heartbeat_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hung_slots: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class ListExecutorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListExecutorsResponse(_message.Message):
    __slots__ = ("executors",)
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    executors: _containers.RepeatedCompositeFieldContainer[Executor]
    def __init__(self, executors: _Optional[_Iterable[_Union[Executor, _Mapping]]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job", "position")
    JOB_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    job: Job
    position: Position
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class RetryJobRequest(_message.Message):
    __slots__ = ("job_id", "new_job_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    new_job_id: str
    def __init__(self, job_id: _Optional[str] = ..., new_job_id: _Optional[str] = ...) -> None: ...

class RetryJobResponse(_message.Message):
    __slots__ = ("job", "position")
    JOB_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    job: Job
    position: Position
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class JobTypeState(_message.Message):
    __slots__ = ("item_type", "job_type", "executors", "not_started", "in_progress", "start_deadline", "pause")
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    NOT_STARTED_FIELD_NUMBER: _ClassVar[int]
    IN_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    START_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    item_type: str
    job_type: str
    executors: int
    not_started: int
    in_progress: int
    start_deadline: _timestamp_pb2.Timestamp
    pause: Pause
    def __init__(self, item_type: _Optional[str] = ..., job_type: _Optional[str] = ..., executors: _Optional[int] = ..., not_started: _Optional[int] = ..., in_progress: _Optional[int] = ..., start_deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("reason", "by", "time")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListJobTypesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListJobTypesResponse(_message.Message):
    __slots__ = ("job_types",)
    JOB_TYPES_FIELD_NUMBER: _ClassVar[int]
    job_types: _containers.RepeatedCompositeFieldContainer[JobTypeState]
    def __init__(self, job_types: _Optional[_Iterable[_Union[JobTypeState, _Mapping]]] = ...) -> None: ...

class PauseJobTypeRequest(_message.Message):
    __slots__ = ("item_type", "job_type", "reason", "requested_by")
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    item_type: str
    job_type: str
    reason: str
    requested_by: str
    def __init__(self, item_type: _Optional[str] = ..., job_type: _Optional[str] = ..., reason: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class PauseJobTypeResponse(_message.Message):
    __slots__ = ("job_type",)
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    job_type: JobTypeState
    def __init__(self, job_type: _Optional[_Union[JobTypeState, _Mapping]] = ...) -> None: ...

class ResumeJobTypeRequest(_message.Message):
    __slots__ = ("item_type", "job_type", "requested_by")
    ITEM_TYPE_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    item_type: str
    job_type: str
    requested_by: str
    def __init__(self, item_type: _Optional[str] = ..., job_type: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class ResumeJobTypeResponse(_message.Message):
    __slots__ = ("job_type",)
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    job_type: JobTypeState
    def __init__(self, job_type: _Optional[_Union[JobTypeState, _Mapping]] = ...) -> None: ...

class GetAccessTokenRequest(_message.Message):
    __slots__ = ("job_id", "attempt", "executor_id", "scope", "kind", "claims")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    executor_id: str
    scope: str
    kind: TokenKind
    claims: str
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., executor_id: _Optional[str] = ..., scope: _Optional[str] = ..., kind: _Optional[_Union[TokenKind, str]] = ..., claims: _Optional[str] = ...) -> None: ...

class GetAccessTokenResponse(_message.Message):
    __slots__ = ("access_token", "expires_in")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    expires_in: _duration_pb2.Duration
    def __init__(self, access_token: _Optional[str] = ..., expires_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
