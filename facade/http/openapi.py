"""What the framework can't see for itself of the operations: their bodies, headers and errors."""

from dataclasses import dataclass

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from fabric_jobs.jobs import ErrorResponse

_TEXT = Schema(type=OpenAPIType.STRING)
_OBJECT = Schema(type=OpenAPIType.OBJECT)
_GUID = Schema(
    type=OpenAPIType.STRING,
    pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
)
#: A job type: as lenient as Fabric is about its form.
_JOB_TYPE = Schema(type=OpenAPIType.STRING, min_length=1, max_length=96)


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Each of these answers carries an `ErrorResponse`."""
    return {
        status: ResponseSpec(ErrorResponse, generate_examples=False, description="See errorCode.")
        for status in statuses
    }


def _body(**properties: Schema) -> RequestBody:
    required = [name for name in properties if name not in ("creationPayload", "executionData")]
    schema = Schema(type=OpenAPIType.OBJECT, properties=dict(properties), required=required)
    return RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema)})


@dataclass
class CreateOperation(Operation):
    """WDK v1's create: its handler reads the body itself, to answer in Fabric's words."""

    def __post_init__(self) -> None:
        self.request_body = _body(
            invokeType=Schema(
                one_of=[_TEXT, Schema(type=OpenAPIType.INTEGER)],
                description="Manual, Scheduled or UnknownFutureValue; any other means the last.",
            ),
            creationPayload=_OBJECT,
        )


@dataclass
class RemoteCreateOperation(Operation):
    """The remote-jobs family's create."""

    def __post_init__(self) -> None:
        self.request_body = _body(jobType=_JOB_TYPE, jobInstanceId=_GUID, executionData=_OBJECT)


@dataclass
class RemoteOperation(Operation):
    """The remote-jobs family's state and cancel."""

    def __post_init__(self) -> None:
        self.request_body = _body(jobType=_JOB_TYPE, jobInstanceId=_GUID)
