"""Fabric's contract as an OpenAPI description must show it; the error statuses are the facade's."""

from msgspec import Struct

BASE = "/base"
ITEM = f"{BASE}/workspaces/{{workspaceId}}/items/{{itemType}}/{{itemId}}"
INSTANCE = f"{ITEM}/jobTypes/{{jobType}}/instances/{{jobInstanceId}}"
JOBS = f"{ITEM}/jobs"

GUID = {"type": "string", "format": "uuid"}
TEXT = {"type": "string"}
PAYLOAD = {"type": ["object", "null"]}
PART = {
    "type": "object",
    "properties": {"path": TEXT, "payload": TEXT, "payloadType": TEXT},
    "required": ["path", "payload", "payloadType"],
}
DEFINITION = {
    "type": ["object", "null"],
    "properties": {"parts": {"type": "array", "items": PART}},
}
NAME = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"}
ITEM_TYPE = NAME | {"maxLength": 64}
JOB_TYPE = NAME | {"maxLength": 96}
TIME = {"type": "string", "format": "date-time"}

ITEM_PARTS: dict[str, object] = {"workspaceId": GUID, "itemType": ITEM_TYPE, "itemId": GUID}
INSTANCE_PARTS = {**ITEM_PARTS, "jobType": JOB_TYPE, "jobInstanceId": GUID}
REMOTE_BODY: dict[str, object] = {"jobType": JOB_TYPE, "jobInstanceId": GUID}


class Fact(Struct, frozen=True):
    """An operation in the contract, and the error statuses that the facade adds."""

    operation_id: str
    #: The path parameters, in their order.
    parts: dict[str, object]
    errors: list[int]
    success: int = 200
    #: The schema of a success's body; None if it has no body.
    answer: str | None = "ItemJobInstanceState"
    #: The properties of the request body, and the required ones among them.
    body: dict[str, object] = {}
    required: tuple[str, ...] = ()


CREATE_ERRORS = [400, 401, 404, 409, 413, 415, 429, 503]
FACTS = {
    ("post", INSTANCE): Fact(
        "Jobs_CreateItemJobInstance",
        INSTANCE_PARTS,
        CREATE_ERRORS,
        success=202,
        answer=None,
        body={"invokeType": {"type": ["string", "integer"]}, "creationPayload": PAYLOAD},
        required=("invokeType",),
    ),
    ("get", INSTANCE): Fact("Jobs_GetItemJobInstanceState", INSTANCE_PARTS, [400, 401, 404, 503]),
    ("post", f"{INSTANCE}/cancel"): Fact(
        "Jobs_CancelItemJobInstance", INSTANCE_PARTS, [400, 401, 404, 503]
    ),
    ("post", f"{JOBS}/onCreateJobInstance"): Fact(
        "RemoteJobs_OnCreateJobInstance",
        ITEM_PARTS,
        CREATE_ERRORS,
        success=201,
        body={**REMOTE_BODY, "executionData": PAYLOAD, "definition": DEFINITION},
        required=tuple(REMOTE_BODY),
    ),
    ("post", f"{JOBS}/onGetJobInstanceStatus"): Fact(
        "RemoteJobs_OnGetJobInstanceStatus",
        ITEM_PARTS,
        [400, 401, 404, 413, 415, 503],
        body=REMOTE_BODY,
        required=tuple(REMOTE_BODY),
    ),
    ("post", f"{JOBS}/onCancelJobInstance"): Fact(
        "RemoteJobs_OnCancelJobInstance",
        ITEM_PARTS,
        [400, 401, 404, 413, 415, 503],
        body=REMOTE_BODY,
        required=tuple(REMOTE_BODY),
    ),
}


def ref(name: str) -> dict[str, str]:
    """A reference to a schema in the description."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: dict[str, str]) -> dict[str, object]:
    """The schema of an array of these items."""
    return {"type": "array", "items": items}


#: The properties of each answer body's schema, and the required ones among them.
BODIES: dict[str, tuple[dict[str, object], list[str]]] = {
    "ItemJobInstanceState": (
        {
            "status": ref("JobInstanceStatus"),
            "startTimeUtc": TIME,
            "endTimeUtc": TIME,
            "errorDetails": ref("ErrorResponse"),
        },
        ["status"],
    ),
    "ErrorResponse": (
        {
            "errorCode": TEXT,
            "message": TEXT,
            "source": ref("ErrorSource"),
            "isPermanent": {"type": "boolean"},
            "messageParameters": array(TEXT),
            "moreDetails": array(ref("ErrorExtendedInformation")),
        },
        ["errorCode", "message", "source"],
    ),
    "ErrorExtendedInformation": (
        {
            "errorCode": TEXT,
            "message": TEXT,
            "messageParameters": array(TEXT),
            "additionalParameters": array(ref("NameValuePair")),
        },
        ["errorCode", "message"],
    ),
    "NameValuePair": ({"name": TEXT, "value": TEXT}, ["name", "value"]),
}
#: The values of each enumeration.
ENUMERATIONS = {
    "JobInstanceStatus": ["NotStarted", "InProgress", "Completed", "Failed", "Cancelled"],
    "ErrorSource": ["System", "User", "External"],
}
