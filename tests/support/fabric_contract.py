"""The facts of Fabric's contract, as a description has to say them; the errors are the facade's."""

from msgspec import Struct

BASE = "/base"
ITEM = f"{BASE}/workspaces/{{workspaceId}}/items/{{itemType}}/{{itemId}}"
INSTANCE = f"{ITEM}/jobTypes/{{jobType}}/instances/{{jobInstanceId}}"
JOBS = f"{ITEM}/jobs"

GUID = {"type": "string", "format": "uuid"}
TEXT = {"type": "string"}
PAYLOAD = {"type": ["object", "null"]}
ITEM_TYPE = {"type": "string", "minLength": 1, "maxLength": 64}
JOB_TYPE = {"type": "string", "minLength": 1, "maxLength": 96}
INSTANTS = {"type": "string", "format": "date-time"}

ITEM_PARTS: dict[str, object] = {"workspaceId": GUID, "itemType": ITEM_TYPE, "itemId": GUID}
INSTANCE_PARTS = {**ITEM_PARTS, "jobType": JOB_TYPE, "jobInstanceId": GUID}
NAMED: dict[str, object] = {"jobType": JOB_TYPE, "jobInstanceId": GUID}


class Fact(Struct, frozen=True):
    """What the contract says of an operation, and which errors the facade has for it."""

    operation_id: str
    #: Of its path, in their order.
    parts: dict[str, object]
    errors: list[int]
    success: int = 200
    #: What is in a success; none where it has no body.
    answer: str | None = "ItemJobInstanceState"
    #: The properties of its body, and those of them that must be there.
    body: dict[str, object] = {}
    required: tuple[str, ...] = ()


CREATE_ERRORS = [400, 401, 404, 409, 413, 429, 503]
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
        body={**NAMED, "executionData": PAYLOAD},
        required=tuple(NAMED),
    ),
    ("post", f"{JOBS}/onGetJobInstanceStatus"): Fact(
        "RemoteJobs_OnGetJobInstanceStatus",
        ITEM_PARTS,
        [400, 401, 404, 413, 503],
        body=NAMED,
        required=tuple(NAMED),
    ),
    ("post", f"{JOBS}/onCancelJobInstance"): Fact(
        "RemoteJobs_OnCancelJobInstance",
        ITEM_PARTS,
        [400, 401, 404, 413, 503],
        body=NAMED,
        required=tuple(NAMED),
    ),
}


def ref(name: str) -> dict[str, str]:
    """A reference to a schema of the description."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: dict[str, str]) -> dict[str, object]:
    """A list of these."""
    return {"type": "array", "items": items}


#: The properties of each body of an answer, and those of them that must be there.
BODIES: dict[str, tuple[dict[str, object], list[str]]] = {
    "ItemJobInstanceState": (
        {
            "status": ref("JobInstanceStatus"),
            "startTimeUtc": INSTANTS,
            "endTimeUtc": INSTANTS,
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
            "messageParameters": listed(TEXT),
            "moreDetails": listed(ref("ErrorExtendedInformation")),
        },
        ["errorCode", "message", "source"],
    ),
    "ErrorExtendedInformation": (
        {
            "errorCode": TEXT,
            "message": TEXT,
            "messageParameters": listed(TEXT),
            "additionalParameters": listed(ref("NameValuePair")),
        },
        ["errorCode", "message"],
    ),
    "NameValuePair": ({"name": TEXT, "value": TEXT}, ["name", "value"]),
}
NAMES = {
    "JobInstanceStatus": ["NotStarted", "InProgress", "Completed", "Failed", "Cancelled"],
    "ErrorSource": ["System", "User", "External"],
}
