"""A token issuer for development, in place of Microsoft Entra ID.

It serves an OpenID configuration, public keys and Fabric's tokens over HTTP. The tokens have the
claims of Entra's tokens, so a facade verifies them by the same code. The issuer gives tokens to
every caller, so it must never be the authority of a deployment.
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

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.runtime.settings import address_of, family_of, is_loopback, names_loopback

PUBLISHER_TENANT = "de000000-0000-4000-8000-0000000000b1"
AUDIENCE = "api://localdevinstance/de000000-0000-4000-8000-0000000000b1/fabric-jobs"
CLIENT_ID = "de000000-0000-4000-8000-0000000000c1"
FABRIC_APP_ID = "00000009-0000-0000-c000-000000000000"
#: Seconds that a token is valid.
LIFETIME_S = 3600
#: Seconds that a server may take to notice that it should stop. It is 0.5 s by default, for which
#: Ctrl-C would wait.
STOP_POLL_S = 0.05

Version = Literal["1.0", "2.0"]


class SigningKey:
    """An RSA key pair that signs tokens."""

    def __init__(self) -> None:
        self.key_id = uuid.uuid4().hex
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public(self) -> dict[str, Any]:
        """The public key as a JSON Web Key."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return public | {"kid": self.key_id, "use": "sig", "alg": "RS256"}


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = family_of(address[0])
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs an error, unless the client closed the connection: a stopped facade does that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Issuer:
    """The token issuer. It answers requests inside the `with` block."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Binds the address. Raises `OSError` if the address can't be bound."""
        self.keys = [SigningKey()]
        self._is_loopback = is_loopback(host)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Logs nothing, because each poll of a command would write a line."""

        self._server = _Server((host, port), Handler)
        self.authority = f"http://{address_of(host, self._server.server_address[1])}"

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        Thread(target=serve, args=(STOP_POLL_S,), name="local issuer", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that make a facade trust this issuer."""
        return {
            "FABRIC_JOBS_AUTHENTICATION": "on",
            "FABRIC_JOBS_AUTHORITY": self.authority,
            "FABRIC_JOBS_PUBLISHER_TENANT_ID": PUBLISHER_TENANT,
            "FABRIC_JOBS_AUDIENCE": AUDIENCE,
            "FABRIC_JOBS_CLIENT_ID": CLIENT_ID,
        }

    def rotate(self) -> None:
        """Adds a key, which signs from now on. The earlier keys stay published."""
        self.keys.append(SigningKey())

    def claims(self, tenant_id: str, version: Version) -> dict[str, Any]:
        """The claims that every token of this version has, for the tenant."""
        now = int(time.time())
        claims = {"tid": tenant_id, "ver": version, "iat": now, "nbf": now, "exp": now + LIFETIME_S}
        if version == "1.0":
            issuer = f"https://sts.windows.net/{tenant_id}/"
            return claims | {"iss": issuer, "aud": AUDIENCE, "appid": FABRIC_APP_ID}
        issuer = f"{self.authority}/{tenant_id}/v2.0"
        return claims | {"iss": issuer, "aud": CLIENT_ID, "azp": FABRIC_APP_ID}

    def app_claims(self, version: Version = "2.0") -> dict[str, Any]:
        """The claims of Fabric's own token."""
        return self.claims(PUBLISHER_TENANT, version) | {"idtyp": "app", "oid": str(uuid.uuid4())}

    def subject_claims(self, tenant_id: str, version: Version = "2.0") -> dict[str, Any]:
        """The claims of a user's token."""
        return self.claims(tenant_id, version) | {
            "scp": "FabricWorkloadControl User.Read",
            "oid": str(uuid.uuid5(uuid.UUID(tenant_id), "user")),
        }

    def sign(self, claims: dict[str, Any]) -> str:
        """Returns the claims as a token, signed with the newest key."""
        key = self.keys[-1]
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.key_id})

    def verify(self, token: str) -> dict[str, Any]:
        """Returns the claims of a user's token of this issuer. Raises `jwt.PyJWTError`."""
        key_id = jwt.get_unverified_header(token).get("kid")
        for key in self.keys:
            if key.key_id == key_id:
                audience = [AUDIENCE, CLIENT_ID]
                return jwt.decode(token, key.private.public_key(), ["RS256"], audience=audience)
        raise jwt.InvalidKeyError("The key is not one of this issuer's.")

    def headers(
        self, tenant_id: str, version: Version = "2.0", subject: bool = True
    ) -> dict[str, str]:
        """The headers of Fabric's call for a user of the tenant, or for no user."""
        user = self.sign(self.subject_claims(tenant_id, version)) if subject else ""
        app = self.sign(self.app_claims(version))
        return {
            "Authorization": f'SubjectAndAppToken1.0 subjectToken="{user}", appToken="{app}"',
            "x-ms-client-tenant-id": tenant_id,
        }

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers a GET request for the configuration, the keys, or the headers of a tenant.

        Another path gets 404, and a tenant that is not a GUID gets 400.
        On loopback, a request under another name than this machine's gets 404, because it may come
        from a page of the internet in a browser here.
        """
        url = urlsplit(request.path)
        is_local = not self._is_loopback or names_loopback(request.headers.get("Host", ""))
        status, body = 200, dict[str, Any]()
        match url.path if is_local else "":
            case "/common/.well-known/openid-configuration":
                body = {"jwks_uri": f"{self.authority}/common/discovery/keys"}
            case "/common/discovery/keys":
                body = {"keys": [key.public() for key in self.keys]}
            case "/headers":
                query = dict(parse_qsl(url.query))
                version: Version = "1.0" if query.get("version") == "1.0" else "2.0"
                try:
                    tenant_id = canonical_guid(query.get("tenant", ""))
                except ValueError as error:
                    status, body = 400, {"error": f"The query's tenant is {error}."}
                else:
                    body = self.headers(tenant_id, version, query.get("subject") != "no")
            case _:
                status, body = 404, {"error": "The issuer has no such path."}
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(json.dumps(body).encode())
