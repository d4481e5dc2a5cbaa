"""Fabric's correlation ids, ActivityId and RequestId: in log lines, errors and answers."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fabric_jobs.runtime.telemetry.logs import bind_ids, bound_ids

#: The names in log lines, by the lower-case names of the headers.
_IDS = {b"activityid": "ActivityId", b"requestid": "RequestId"}
#: A longer id is cut.
MAX_ID_CHARS = 128


def add_correlation_ids(app: ASGIApp) -> ASGIApp:
    """Wraps the whole application, so that an answer to an unknown path carries the ids too."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        ids = {
            _IDS[name]: value[:MAX_ID_CHARS].decode("latin-1")
            for name, value in scope["headers"]
            if name in _IDS
        }
        headers = [(name.encode(), value.encode("latin-1")) for name, value in ids.items()]

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        with bind_ids(**ids):
            await app(scope, receive, send_with_ids)

    return call


def activity_id() -> str | None:
    """The current request's ActivityId: Fabric's id of one interaction of a user."""
    return bound_ids().get("ActivityId")


def request_id() -> str | None:
    """The current request's RequestId: Fabric's id of this request."""
    return bound_ids().get("RequestId")
