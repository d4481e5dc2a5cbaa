"""What the framework can't see for itself of the operations: headers, bodies and errors.

Names, operation ids and shapes are the contract's. Where the facade takes more than Fabric sends,
the description says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Components,
    OpenAPI,
    OpenAPIMediaType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import PathParameter

from fabric_jobs.contract.jobs import ErrorResponse, InvokeType
from fabric_jobs.facade.auth.header import TENANT_HEADER
from fabric_jobs.facade.http.bodies import ItemJobInstanceState
from fabric_jobs.facade.http.instance import MAX_ITEM_TYPE_CHARS, MAX_JOB_TYPE_CHARS

_TEXT = Schema(type=OpenAPIType.STRING)
_GUID = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
#: A payload: `null` is the same as none.
_PAYLOAD = Schema(type=[OpenAPIType.OBJECT, OpenAPIType.NULL])
_OPTIONAL = ("creationPayload", "executionData")

#: The two tokens of a request.
SECURITY_SCHEME = "SubjectAndAppToken1.0"
COMPONENTS = Components(
    security_schemes={
        SECURITY_SCHEME: SecurityScheme(
            type="apiKey",
            name="Authorization",
            security_scheme_in="header",
            description='SubjectAndAppToken1.0 subjectToken="<jwt>", appToken="<jwt>"',
        )
    }
)


def _part(name: str, description: str, **schema: object) -> PathParameter:
    """A part of a path. The handler checks it, to answer in Fabric's words."""
    return PathParameter(name=name, description=description, schema_extra=schema)


WorkspaceId = Annotated[str, _part("workspaceId", "The workspace.", format="uuid")]
ItemType = Annotated[
    str, _part("itemType", "The item's type.", min_length=1, max_length=MAX_ITEM_TYPE_CHARS)
]
ItemId = Annotated[str, _part("itemId", "The item.", format="uuid")]
JobType = Annotated[
    str, _part("jobType", "The job's type.", min_length=1, max_length=MAX_JOB_TYPE_CHARS)
]
JobInstanceId = Annotated[str, _part("jobInstanceId", "The job instance.", format="uuid")]


def _header(name: str, schema: Schema, description: str, *, required: bool) -> Parameter:
    return Parameter(
        name=name, param_in="header", schema=schema, description=description, required=required
    )


_ALWAYS_SENT = "Fabric always sends it; it comes back in the answer's headers."
_HEADERS = (
    _header(TENANT_HEADER, _GUID, "The customer's tenant.", required=True),
    _header("ActivityId", _TEXT, f"One interaction of a user. {_ALWAYS_SENT}", required=False),
    _header("RequestId", _TEXT, f"This request. {_ALWAYS_SENT}", required=False),
)


def state(status: int) -> dict[int, ResponseSpec]:
    """This answer carries the job's state."""
    spec = ResponseSpec(
        ItemJobInstanceState, generate_examples=False, description="The job instance as it is."
    )
    return {status: spec}


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Each of these answers carries an `ErrorResponse`."""
    return {
        status: ResponseSpec(ErrorResponse, generate_examples=False, description="See errorCode.")
        for status in statuses
    }


@dataclass
class StateOperation(Operation):
    """An operation of Fabric's whose request has no body."""

    def __post_init__(self) -> None:
        self.tags = [str(self.operation_id).partition("_")[0]]
        self.parameters = [*(self.parameters or ()), *_HEADERS]

    def _takes(self, properties: Mapping[str, Schema]) -> None:
        """Describes the body, which the handler reads itself, to answer in Fabric's words."""
        required = [name for name in properties if name not in _OPTIONAL]
        schema = Schema(type=OpenAPIType.OBJECT, properties=dict(properties), required=required)
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema)}, None, True)


@dataclass
class CreateOperation(StateOperation):
    """WDK v1's create."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ", ".join(InvokeType)
        invoke_type = Schema(
            type=[OpenAPIType.STRING, OpenAPIType.INTEGER],
            description=f"{names}; or 2, 1 and 0 for them. Any other value means the last.",
        )
        self._takes({"invokeType": invoke_type, "creationPayload": _PAYLOAD})


@dataclass
class RemoteStateOperation(StateOperation):
    """The remote-jobs family's state and cancel: the job instance is named in the body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        job_type = Schema(type=OpenAPIType.STRING, min_length=1, max_length=MAX_JOB_TYPE_CHARS)
        self._takes({"jobType": job_type, "jobInstanceId": _GUID} | self._data())

    def _data(self) -> dict[str, Schema]:
        return {}


@dataclass
class RemoteCreateOperation(RemoteStateOperation):
    """The remote-jobs family's create."""

    def _data(self) -> dict[str, Schema]:
        return {"executionData": _PAYLOAD}


def tell_as_sent(description: OpenAPI) -> None:
    """Makes the bodies of answers what they are: what is absent is left out, and nothing is added.

    The framework takes an optional field for one that may be `null`, and a default for one.
    """
    assert description.components
    for schema in description.components.schemas.values():
        if schema.properties is None:
            continue
        schema.additional_properties = False
        for name, field in schema.properties.items():
            if isinstance(field, Schema):
                field.default = None
                if field.one_of:
                    schema.properties[name] = field.one_of[0]
