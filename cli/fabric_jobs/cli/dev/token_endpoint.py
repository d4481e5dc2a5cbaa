"""The token endpoint of the local issuer: on-behalf-of, refresh and client credentials, over TLS.

Microsoft's library MSAL takes only authorities of https. So the endpoint has an address of its own,
with a certificate that it signs itself. `settings` makes a facade use both.
"""

import base64
import hmac
import json
import secrets
import ssl
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography import x509
from msgspec import UNSET

from fabric_jobs.cli.dev.certificate import write_certificate
from fabric_jobs.cli.dev.issuer import CLIENT_ID, STOP_POLL_S, Issuer
from fabric_jobs.cli.dev.token_failures import REVOKED, UNREADABLE, WRONG_SECRET, Failure

ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The longest body of a request, in bytes.
MAX_BODY_BYTES = 256 * 1024
#: Seconds that a connection may be silent.
TIMEOUT_S = 30


class User(NamedTuple):
    """A user of one tenant, whose tokens can be refreshed."""

    tenant_id: str
    object_id: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, context: ssl.SSLContext) -> None:
        super().__init__(address, handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Makes the TLS handshake in the connection's own thread."""
        request.settimeout(TIMEOUT_S)
        with self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing: a client may close its connection, or refuse the certificate."""


class TokenEndpoint:
    """The token endpoint. It answers requests inside the `with` block."""

    def __init__(self, issuer: Issuer, host: str = "127.0.0.1", port: int = 0) -> None:
        """Binds the address. Raises `OSError` if the address can't be bound."""
        self._issuer = issuer
        self._folder = TemporaryDirectory(prefix="fabric-jobs-")
        cert, key = write_certificate(Path(self._folder.name), host)
        self.ca_file = cert
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.answer_configuration(self)

            def do_POST(self) -> None:
                endpoint.answer_token(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Logs nothing, because a query or a body may hold a token."""

        self._server = _Server((host, port), Handler, context)
        self.authority = f"https://{host}:{self._server.server_address[1]}"
        self.client_secret = secrets.token_urlsafe(24)
        #: The certificate whose key may sign in the client, in place of the secret.
        self.client_certificate: x509.Certificate | None = None
        #: Seconds that an access token of this endpoint is valid.
        self.lifetime_s = 3600
        #: What a grant type gets in place of a token, until it is removed.
        self.failures: dict[str, Failure] = {}
        #: Users whose refresh tokens are no longer accepted.
        self.revoked: set[User] = set()
        #: The grant type and the tenant of each request that got a token.
        self.granted: list[tuple[str, str]] = []
        #: Every token that was given, for a test that searches for them.
        self.given: list[str] = []
        self._refresh_tokens: dict[str, User] = {}

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        Thread(target=serve, args=(STOP_POLL_S,), name="token endpoint", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that make a facade get tokens here."""
        return {
            "FABRIC_JOBS_TOKEN_AUTHORITY": self.authority,
            "FABRIC_JOBS_TOKEN_AUTHORITY_CA_FILE": str(self.ca_file),
            "FABRIC_JOBS_CLIENT_SECRET": self.client_secret,
        }

    def answer_configuration(self, request: BaseHTTPRequestHandler) -> None:
        """Answers with the OpenID configuration of a tenant, or 404."""
        tenant_id, _, rest = urlsplit(request.path).path.removeprefix("/").partition("/")
        if rest != "v2.0/.well-known/openid-configuration":
            return _send(request, 404, {"error": "not_found"})
        base = f"{self.authority}/{tenant_id}"
        configuration = {
            "issuer": f"{self._issuer.authority}/{tenant_id}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
        }
        return _send(request, 200, configuration)

    def answer_token(self, request: BaseHTTPRequestHandler) -> None:
        """Answers a request for a token; one that can't be read gets `invalid_request`."""
        try:
            length = min(int(request.headers.get("Content-Length", 0)), MAX_BODY_BYTES)
            form = dict(parse_qsl(request.rfile.read(max(length, 0)).decode()))
        except ValueError:
            return _send_failure(request, UNREADABLE)
        tenant_id, _, rest = urlsplit(request.path).path.removeprefix("/").partition("/")
        if rest != "oauth2/v2.0/token":
            return _send(request, 404, {"error": "not_found"})
        answer = self._grant(tenant_id, form)
        if isinstance(answer, Failure):
            return _send_failure(request, answer)
        self.granted.append((form["grant_type"], tenant_id))
        return _send(request, 200, answer)

    def _grant(self, tenant_id: str, form: dict[str, str]) -> dict[str, Any] | Failure:
        grant_type = form.get("grant_type", "")
        if failure := self.failures.get(grant_type):
            return failure
        if not self._is_client(form):
            return WRONG_SECRET
        scope = form.get("scope", "")
        match grant_type:
            case "client_credentials":
                return self._token(tenant_id, scope, {"idtyp": "app", "oid": CLIENT_ID})
            case "refresh_token":
                user = self._refresh_tokens.get(form.get("refresh_token", ""))
                if user is None or user.tenant_id != tenant_id or user in self.revoked:
                    return REVOKED
                return self._user_token(user, scope)
            case _ if grant_type == ON_BEHALF_OF:
                return self._exchange(tenant_id, form.get("assertion", ""), scope)
        return Failure(error="unsupported_grant_type", description=f"AADSTS70003: {grant_type}.")

    def _exchange(self, tenant_id: str, assertion: str, scope: str) -> dict[str, Any] | Failure:
        try:
            claims = self._issuer.verify(assertion)
        except jwt.PyJWTError as error:
            return Failure(error="invalid_grant", description=f"AADSTS50013: {error}.")
        if claims["tid"] != tenant_id:
            return Failure(error="invalid_grant", description="AADSTS500172: another tenant.")
        return self._user_token(User(tenant_id, claims["oid"]), scope)

    def _user_token(self, user: User, scope: str) -> dict[str, Any]:
        refresh_token = f"local-refresh-{secrets.token_urlsafe(32)}"
        self._refresh_tokens[refresh_token] = user
        self.given.append(refresh_token)
        claims = {"oid": user.object_id, "scp": "user_impersonation"}
        return self._token(user.tenant_id, scope, claims) | {
            "refresh_token": refresh_token,
            "scope": scope,
        }

    def _token(self, tenant_id: str, scope: str, claims: dict[str, Any]) -> dict[str, Any]:
        resource = next((one for one in scope.split() if "/" in one), scope).rpartition("/")[0]
        now = int(time.time())
        access_token = self._issuer.sign(
            {
                "tid": tenant_id,
                "ver": "2.0",
                "iss": f"{self._issuer.authority}/{tenant_id}/v2.0",
                "aud": resource,
                "azp": CLIENT_ID,
                "iat": now,
                "nbf": now,
                "exp": now + self.lifetime_s,
                "uti": uuid.uuid4().hex,
                **claims,
            }
        )
        self.given.append(access_token)
        return {
            "token_type": "Bearer",
            "access_token": access_token,
            "expires_in": self.lifetime_s,
        }

    def _is_client(self, form: dict[str, str]) -> bool:
        if assertion := form.get("client_assertion"):
            return self._is_signed_by_client(assertion)
        secret = form.get("client_secret", "")
        is_right = hmac.compare_digest(secret.encode(), self.client_secret.encode())
        return form.get("client_id") == CLIENT_ID and is_right

    def _is_signed_by_client(self, assertion: str) -> bool:
        if self.client_certificate is None:
            return False
        key = self.client_certificate.public_key()
        options: Any = {"verify_aud": False}
        try:
            jwt.decode(assertion, key, ["RS256", "PS256"], options)  # type: ignore[arg-type] # an RSA key
        except jwt.PyJWTError:
            return False
        return True


def random_sealing_key() -> str:
    """Returns a new key for `FABRIC_JOBS_SEALING_KEYS`."""
    return f"local:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _send_failure(request: BaseHTTPRequestHandler, failure: Failure) -> None:
    body = {
        "error": failure.error,
        "error_description": failure.description,
        "suberror": failure.suberror,
        "claims": failure.claims,
    }
    headers = {}
    if failure.retry_after_s is not None:
        headers["Retry-After"] = str(failure.retry_after_s)
    known = {name: value for name, value in body.items() if value is not UNSET}
    _send(request, failure.status, known, headers)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    content = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(content)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(content)
