"""The parts of the OpenAPI description that Litestar cannot derive: headers, bodies and errors.

Names, operation ids and schemas are those of Fabric's contract. Where the facade accepts more than
Fabric sends, the description says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth.header import TENANT_HEADER
from fabric_jobs.facade.http.answers import ItemJobInstanceState
from fabric_jobs.facade.http.instance import MAX_ITEM_TYPE_CHARS, MAX_JOB_TYPE_CHARS, NAME_PATTERN

_TEXT = Schema(type=OpenAPIType.STRING)
_GUID = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
#: The schema of a payload; `null` means that there is none.
_PAYLOAD = Schema(type=[OpenAPIType.OBJECT, OpenAPIType.NULL])
#: The schema of an item's definition.
_DEFINITION = Schema(
    type=[OpenAPIType.OBJECT, OpenAPIType.NULL],
    properties={
        "parts": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(
                type=OpenAPIType.OBJECT,
                properties={"path": _TEXT, "payload": _TEXT, "payloadType": _TEXT},
                required=["path", "payload", "payloadType"],
            ),
        )
    },
)
_OPTIONAL = ("creationPayload", "executionData", "definition")

#: The name of the scheme of Fabric's two tokens.
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


def _name(most: int) -> dict[str, Any]:
    """The keywords of the schema of an item type or a job type."""
    return {"min_length": 1, "max_length": most, "pattern": NAME_PATTERN}


def _path_parameter(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(
        name=name,
        param_in="path",
        schema=Schema(type=OpenAPIType.STRING, description=description, **schema),
        description=description,
        required=True,
    )


#: The path parameters, in their order. `instance_of` validates them, for Fabric's error body.
_PATH_PARAMETERS = (
    _path_parameter("workspaceId", "The workspace.", format=OpenAPIFormat.UUID),
    _path_parameter("itemType", "The item's type.", **_name(MAX_ITEM_TYPE_CHARS)),
    _path_parameter("itemId", "The item.", format=OpenAPIFormat.UUID),
    _path_parameter("jobType", "The job's type.", **_name(MAX_JOB_TYPE_CHARS)),
    _path_parameter("jobInstanceId", "The job instance.", format=OpenAPIFormat.UUID),
)


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


def state_response_spec(status: int) -> dict[int, ResponseSpec]:
    """The description of an answer with the job instance's state."""
    spec = ResponseSpec(
        ItemJobInstanceState, generate_examples=False, description="The job instance as it is."
    )
    return {status: spec}


def error_response_specs(*statuses: int) -> dict[int, ResponseSpec]:
    """The descriptions of answers with an `ErrorResponse`."""
    return {
        status: ResponseSpec(ErrorResponse, generate_examples=False, description="See errorCode.")
        for status in statuses
    }


@dataclass
class StateOperation(Operation):
    """The description of an operation whose request has no body."""

    def __post_init__(self) -> None:
        self.tags = [str(self.operation_id).partition("_")[0]]
        # Litestar finds the names of path parameters in the path, and nothing more about them.
        names = {each.name for each in self.parameters or () if isinstance(each, Parameter)}
        self.parameters = [*(each for each in _PATH_PARAMETERS if each.name in names), *_HEADERS]

    def _describe_body(self, properties: Mapping[str, Schema]) -> None:
        """Describes the request body, which `bodies` decodes, for Fabric's error body."""
        required = [name for name in properties if name not in _OPTIONAL]
        schema = Schema(type=OpenAPIType.OBJECT, properties=dict(properties), required=required)
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema)}, None, True)


@dataclass
class CreateOperation(StateOperation):
    """The description of WDK v1's create."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ", ".join(InvokeType)
        invoke_type = Schema(
            type=[OpenAPIType.STRING, OpenAPIType.INTEGER],
            description=f"{names}; or 2, 1 and 0 for them. Any other value means the last.",
        )
        self._describe_body({"invokeType": invoke_type, "creationPayload": _PAYLOAD})


@dataclass
class RemoteStateOperation(StateOperation):
    """The description of the remote-jobs state and cancel; the body names the job instance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        job_type = Schema(type=OpenAPIType.STRING, **_name(MAX_JOB_TYPE_CHARS))
        self._describe_body({"jobType": job_type, "jobInstanceId": _GUID} | self._data())

    def _data(self) -> dict[str, Schema]:
        return {}


@dataclass
class RemoteCreateOperation(RemoteStateOperation):
    """The description of the remote-jobs create."""

    def _data(self) -> dict[str, Schema]:
        return {"executionData": _PAYLOAD, "definition": _DEFINITION}


def correct_answer_schemas(description: OpenAPI) -> None:
    """Makes the schemas of answers match their JSON: absent fields are left out, never `null`.

    Litestar describes an optional field as one that may be `null`, with a default. No other field
    is ever sent, so the schemas allow none.
    """
    assert description.components
    for schema in description.components.schemas.values():
        if schema.properties is None:
            continue
        schema.additional_properties = False
        schema.properties.pop("sealed", None)  # only events have it
        for name, field in schema.properties.items():
            if isinstance(field, Schema):
                field.default = None
                if isinstance(field.items, Schema) and field.items.one_of:
                    # Litestar takes the `...` of a tuple with a bound for a type of its own.
                    field.items = field.items.one_of[0]
                if field.one_of:
                    schema.properties[name] = field.one_of[0]
