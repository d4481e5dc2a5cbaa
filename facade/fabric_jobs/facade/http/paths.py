"""Request paths: valid UTF-8, and the letter case of Fabric's fixed segments."""

from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from fabric_jobs.facade.http.errors import Code, error_response

#: The fixed segments by their lower-case spelling. Which case Fabric sends is not certain, because
#: Microsoft's reference and its samples disagree.
_FIXED = {
    segment.lower(): segment
    for segment in (
        *("workspaces", "items", "jobTypes", "instances", "cancel"),
        *("jobs", "onCreateJobInstance", "onGetJobInstanceStatus", "onCancelJobInstance"),
    )
}
#: The places of the fixed segments in a path of either family of routes, without the base path.
_PLACES = (1, 3, 6, 8, 10)
_REMOTE_PLACES = (1, 3, 6, 7)


def normalize_paths(app: ASGIApp, base_path: str) -> ASGIApp:
    """Wraps the application: refuses a path that is not UTF-8, and spells fixed segments anew."""
    prefix = base_path.rstrip("/")

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            # The server replaces invalid bytes, so that different paths would be the same.
            if "\ufffd" in scope["path"] and not _is_utf8(scope):
                refusal = error_response(Code.INVALID_REQUEST, "The path is not valid UTF-8.")
                await refusal(scope, receive, send)
                return
            if scope["path"].startswith(f"{prefix}/"):
                scope["path"] = prefix + _respell(scope["path"][len(prefix) :])
        await app(scope, receive, send)

    return call


def _is_utf8(scope: HTTPScope) -> bool:
    try:
        unquote_to_bytes(scope["raw_path"]).decode()
    except UnicodeDecodeError:
        return False
    return True


def _respell(path: str) -> str:
    parts = path.split("/")
    is_remote = len(parts) > 6 and parts[6].lower() == "jobs"
    for place in _REMOTE_PLACES if is_remote else _PLACES:
        if place < len(parts):
            parts[place] = _FIXED.get(parts[place].lower(), parts[place])
    return "/".join(parts)
