"""The security headers of every response: no foreign or inline content, no caching of pages."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`, because browsers then send `Origin: null` with a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


def add_security_headers(app: ASGIApp) -> ASGIApp:
    """Returns the application with the security headers on every response, also on errors."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                # Browsers may keep only the static files, whose URLs change with their content.
                if not any(name == b"cache-control" and b"immutable" in v for name, v in headers):
                    headers = [pair for pair in headers if pair[0] != b"cache-control"]
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = [*headers, *_ENCODED]
            await send(message)

        assert scope["type"] == ScopeType.HTTP
        await app(scope, receive, send_with_headers)

    return call
