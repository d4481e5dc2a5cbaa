"""Fabric's two correlation ids: into every log line and error of a request, and back with it."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fabric_jobs.runtime.telemetry.logs import about, concerning

#: By their spelling on the wire, which has no hyphens, the names that log lines have.
_IDS = {b"activityid": "ActivityId", b"requestid": "RequestId"}
MAX_CHARS = 128


def correlated(app: ASGIApp) -> ASGIApp:
    """The application, around all of its routing: also a 404 carries the ids."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        ids = {
            _IDS[name]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _IDS and len(value) <= MAX_CHARS
        }
        headers = [(name.encode(), value.encode("latin-1")) for name, value in ids.items()]

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        with concerning(**ids):
            await app(scope, receive, send_with_ids)

    return call


def activity_id() -> str | None:
    """The interaction of a user that this request belongs to."""
    return about().get("ActivityId")


def request_id() -> str | None:
    """This request, in Fabric's logs."""
    return about().get("RequestId")
