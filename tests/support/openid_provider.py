"""A provider of OpenID Connect on a real socket, which signs in one person without asking."""

import base64
import json
import time
import uuid
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt

from fabric_jobs.cli.dev.issuer import SigningKey
from fabric_jobs.facade.monitor import MonitorRole, OpenIdSettings, OpenIdSignIn
from fabric_jobs.runtime.settings import Secret

CLIENT_ID = "de000000-0000-4000-8000-0000000000d1"
CLIENT_SECRET = "a client's secret of 32 bytes or more"


class OpenIdProvider:
    """The provider. It answers requests inside the `with` block."""

    def __init__(self) -> None:
        self.key = SigningKey()
        #: What the ID token says beside the usual claims; None leaves a claim out.
        self.claims: dict[str, Any] = {"name": "Ann Smith", "roles": ["jobs.operator"]}
        #: What the configuration says otherwise.
        self.configuration: dict[str, Any] = {}
        #: How often the configuration was fetched.
        self.fetches = 0
        #: An error in place of a code.
        self.error = ""
        self.algorithm = "RS256"
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def do_POST(self) -> None:
                provider.answer_token(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/tenant/v2.0"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers a request for the configuration, for the keys, or of a browser."""
        url = urlsplit(request.path)
        match url.path.removeprefix("/tenant/v2.0"):
            case "/.well-known/openid-configuration":
                self.fetches += 1
                found = {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/keys",
                }
                _send(request, 200, found | self.configuration)
            case "/keys":
                _send(request, 200, {"keys": [self.key.public()]})
            case "/authorize":
                self._authorize(request, dict(parse_qsl(url.query)))
            case _:
                _send(request, 404, {})

    def _authorize(self, request: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = uuid.uuid4().hex
        self._codes[code] = query
        answer = {"error": self.error} if self.error else {"code": code}
        target = urlencode(answer | {"state": query["state"]})
        request.send_response(302)
        request.send_header("Location", f"{query['redirect_uri']}?{target}")
        request.end_headers()

    def answer_token(self, request: BaseHTTPRequestHandler) -> None:
        """Exchanges a code once, for a client with the right secret and verifier."""
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        query = self._codes.pop(form["code"], None)
        digest = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
        if (
            query is None
            or form["client_secret"] != CLIENT_SECRET
            or form["redirect_uri"] != query["redirect_uri"]
            or digest.decode().rstrip("=") != query["code_challenge"]
        ):
            return _send(request, 400, {"error": "invalid_grant"})
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "ann",
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
        } | self.claims
        known = {name: value for name, value in claims.items() if value is not None}
        key: Any = self.key.private if self.algorithm == "RS256" else CLIENT_SECRET
        headers = {"kid": self.key.key_id}
        token = jwt.encode(known, key, algorithm=self.algorithm, headers=headers)
        return _send(request, 200, {"id_token": token, "token_type": "Bearer"})


def people_at(provider: OpenIdProvider, monitor_url: str, **fields: Any) -> OpenIdSignIn:
    """Returns the monitor's sign-in at the provider. `fields` replace its settings."""
    settings: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": Secret(CLIENT_SECRET),
        "redirect_url": f"{monitor_url}/sign-in/callback",
        "roles": {
            MonitorRole.READER: ["jobs.reader"],
            MonitorRole.OPERATOR: ["jobs.operator", "6f1e-a-group"],
        },
        "refresh_s": 300,
        "skew_s": 60,
    }
    return OpenIdSignIn(OpenIdSettings(**settings | fields))


def _send(request: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.end_headers()
    request.wfile.write(json.dumps(body).encode())
