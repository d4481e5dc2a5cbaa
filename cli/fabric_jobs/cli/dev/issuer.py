"""A local Entra: keys, OpenID configuration and Fabric's tokens, on loopback, for development.

What it signs is what the real one signs, and the facade checks it by the same code. It gives tokens
to whoever asks, so it must never be the authority of a deployment.
"""

import json
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

PUBLISHER_TENANT = "de000000-0000-4000-8000-0000000000b1"
AUDIENCE = "api://localdevinstance/de000000-0000-4000-8000-0000000000b1/fabric-jobs"
CLIENT_ID = "de000000-0000-4000-8000-0000000000c1"
FABRIC_APP_ID = "00000009-0000-0000-c000-000000000000"
#: Where `fabric-jobs dev` has it, and the other commands look for it.
DEFAULT_ADDRESS = "127.0.0.1:5002"
LIFETIME_S = 3600

Version = Literal["1.0", "2.0"]


class SigningKey:
    """One key of the issuer's."""

    def __init__(self) -> None:
        self.key_id = uuid.uuid4().hex
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public(self) -> dict[str, Any]:
        """As the authority publishes it."""
        shown = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return shown | {"kid": self.key_id, "use": "sig", "alg": "RS256"}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tells of errors, but a facade that is stopped while it asks is none."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Issuer:
    """The authority, for as long as the block lasts."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Binds at once. Raises `OSError` where the address can't be had."""
        self.keys = [SigningKey()]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Says nothing: every poll of a command would be a line."""

        self._server = _Server((host, port), Handler)
        self.authority = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, name="local issuer", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """What makes a facade trust this issuer, by environment variable."""
        return {
            "FABRIC_JOBS_AUTHENTICATION": "on",
            "FABRIC_JOBS_AUTHORITY": self.authority,
            "FABRIC_JOBS_PUBLISHER_TENANT_ID": PUBLISHER_TENANT,
            "FABRIC_JOBS_AUDIENCE": AUDIENCE,
            "FABRIC_JOBS_CLIENT_ID": CLIENT_ID,
        }

    def rotate(self) -> None:
        """Signs with a new key from now on; the old ones stay published."""
        self.keys.append(SigningKey())

    def claims(self, tenant_id: str, version: Version) -> dict[str, Any]:
        """The claims that every token of this version has."""
        now = int(time.time())
        claims = {"tid": tenant_id, "ver": version, "iat": now, "nbf": now, "exp": now + LIFETIME_S}
        if version == "1.0":
            issuer = f"https://sts.windows.net/{tenant_id}/"
            return claims | {"iss": issuer, "aud": AUDIENCE, "appid": FABRIC_APP_ID}
        issuer = f"{self.authority}/{tenant_id}/v2.0"
        return claims | {"iss": issuer, "aud": CLIENT_ID, "azp": FABRIC_APP_ID}

    def app_claims(self, version: Version = "2.0") -> dict[str, Any]:
        """What Fabric's own token says."""
        return self.claims(PUBLISHER_TENANT, version) | {"idtyp": "app", "oid": str(uuid.uuid4())}

    def subject_claims(self, tenant_id: str, version: Version = "2.0") -> dict[str, Any]:
        """What a user's token says."""
        return self.claims(tenant_id, version) | {"scp": "FabricWorkloadControl User.Read"}

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a token, by the newest key."""
        key = self.keys[-1]
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.key_id})

    def headers(
        self, tenant_id: str, version: Version = "2.0", subject: bool = True
    ) -> dict[str, str]:
        """What Fabric sends for a user of the tenant, or without one."""
        user = self.sign(self.subject_claims(tenant_id, version)) if subject else ""
        app = self.sign(self.app_claims(version))
        return {
            "Authorization": f'SubjectAndAppToken1.0 subjectToken="{user}", appToken="{app}"',
            "x-ms-client-tenant-id": tenant_id,
        }

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request: the configuration, the keys, or a pair of tokens for a tenant."""
        url = urlsplit(request.path)
        body: dict[str, Any] | None = None
        match url.path:
            case "/common/.well-known/openid-configuration":
                body = {"jwks_uri": f"{self.authority}/common/discovery/keys"}
            case "/common/discovery/keys":
                body = {"keys": [key.public() for key in self.keys]}
            case "/headers":
                asked = dict(parse_qsl(url.query))
                body = self.headers(
                    asked.get("tenant", ""),
                    "1.0" if asked.get("version") == "1.0" else "2.0",
                    asked.get("subject") != "no",
                )
        request.send_response(200 if body else 404)
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(json.dumps(body).encode())
