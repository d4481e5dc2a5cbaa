"""Sign-in to the monitor by OpenID Connect: the authorization code flow with PKCE.

Nothing is stored on the server. What a sign-in has to remember until the provider sends the browser
back, and the session itself, are cookies that only replicas with the client's secret can read.
"""

import base64
import secrets
import time
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import jwt
import msgspec
from msgspec import Struct

from fabric_jobs.facade.auth.keys import (
    FETCH_ERRORS,
    AuthorityError,
    Keys,
    create_client,
    fetch_document,
)
from fabric_jobs.facade.monitor.access import SESSION_PREFIX, MonitorRole, Viewer
from fabric_jobs.facade.monitor.sealed_cookies import SealedCookies
from fabric_jobs.runtime.settings import Secret, is_secure_url

#: Seconds that a session lasts. A role that is taken away stays until then.
SESSION_S = 4 * 60 * 60
#: Seconds that a person may take at the provider.
FLOW_S = 10 * 60
#: Characters of a name in the cookie of a session, which bounds the cookie.
MAX_NAME_CHARS = 100
#: Characters of an ID token.
MAX_TOKEN_CHARS = 32 * 1024
#: Characters of the page that the sign-in leads to.
MAX_PAGE_CHARS = 1024
_SCOPE = "openid profile"
_CONFIGURATION = "/.well-known/openid-configuration"
_AGAIN = "Try again in a moment."


class SignInError(Exception):
    """The sign-in failed. The message is for the person, with the status of the page."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class OpenIdSettings(Struct, frozen=True, kw_only=True):
    """The provider, this client of it, and who has which role."""

    issuer: str
    client_id: str
    client_secret: Secret
    #: Where the provider sends the browser back to.
    redirect_url: str
    #: By role, the values of the claims `roles` and `groups` that give it.
    roles: Mapping[MonitorRole, Collection[str]]
    refresh_s: float
    skew_s: float


class Begun(NamedTuple):
    """A sign-in that was begun."""

    #: The provider's page.
    url: str
    #: The cookie that `finish` needs.
    flow: str


class Finished(NamedTuple):
    """A sign-in that succeeded."""

    session: str
    next_page: str


class _Flow(Struct, frozen=True):
    state: str
    nonce: str
    verifier: str
    next_page: str


class _Session(Struct, frozen=True):
    role: MonitorRole
    name: str


class _Endpoints(Struct, frozen=True):
    authorization_endpoint: str
    token_endpoint: str


class OpenIdSignIn:
    """Signs people in at one provider. A session is valid on every replica with these settings."""

    def __init__(self, settings: OpenIdSettings) -> None:
        self._settings = settings
        self._base = settings.issuer.rstrip("/")
        self._keys = Keys(self._base, settings.refresh_s, path=_CONFIGURATION)
        self._keys_fetched_at = float("-inf")
        self._endpoints: _Endpoints | None = None
        self._endpoints_fetched_at = float("-inf")
        name = f"{settings.issuer} {settings.client_id}"
        self._cookies = SealedCookies(settings.client_secret, name)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the monitor over HTTPS."""
        return self._settings.redirect_url.startswith("https:")

    async def begin(self, next_page: str) -> Begun:
        """Begins a sign-in that leads to this page of the monitor. Raises `SignInError`."""
        endpoints = await self._read_endpoints()
        flow = _Flow(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            next_page[:MAX_PAGE_CHARS],
        )
        digest = sha256(flow.verifier.encode()).digest()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.client_id,
                "redirect_uri": self._settings.redirect_url,
                "scope": _SCOPE,
                "state": flow.state,
                "nonce": flow.nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
                "code_challenge_method": "S256",
            }
        )
        mark = "&" if "?" in endpoints.authorization_endpoint else "?"
        return Begun(f"{endpoints.authorization_endpoint}{mark}{query}", self._cookies.seal(flow))

    async def finish(self, flow_cookie: str, answer: Mapping[str, str]) -> Finished:
        """Finishes the sign-in by the provider's answer in the URL. Raises `SignInError`."""
        flow = self._cookies.open(flow_cookie, _Flow, FLOW_S)
        if flow is None or not secrets.compare_digest(
            answer.get("state", "").encode(), flow.state.encode()
        ):
            raise SignInError("This sign-in is too old, or began in another browser.", 400)
        code = answer.get("code", "")
        if not code:
            refusal = answer.get("error_description") or answer.get("error") or "no code"
            raise SignInError(f"The sign-in was not finished: {refusal[:500]}", 403)
        claims = await self._claims(await self._exchange(code, flow.verifier), flow.nonce)
        name = str(claims.get("name") or claims.get("preferred_username") or claims["sub"])
        session = _Session(self._role(claims), name[:MAX_NAME_CHARS])
        return Finished(f"{SESSION_PREFIX}{self._cookies.seal(session)}", flow.next_page)

    def viewer(self, session: str) -> Viewer | None:
        """Returns who has a session, or None if it is forged or expired."""
        found = self._cookies.open(session.removeprefix(SESSION_PREFIX), _Session, SESSION_S)
        return Viewer(found.role, signed_in=True, name=found.name) if found else None

    def _role(self, claims: Mapping[str, Any]) -> MonitorRole:
        given = {
            str(value)
            for claim in ("roles", "groups")
            if isinstance(values := claims.get(claim), list)
            for value in values
        }
        for role in (MonitorRole.OPERATOR, MonitorRole.READER):
            if given.intersection(self._settings.roles[role]):
                return role
        raise SignInError(
            "Your account has no role in this monitor. Ask its owner to make you a reader or an "
            "operator.",
            403,
        )

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token; its signature, times, issuer, audience and nonce are right."""
        settings = self._settings
        try:
            if len(token) > MAX_TOKEN_CHARS:
                raise jwt.InvalidTokenError("it is too long")
            await self._refresh_keys()
            header = jwt.get_unverified_header(token)
            key = await self._keys.find(str(header.get("kid", "")))
            if key is None:
                raise jwt.InvalidTokenError("its key is not one of the provider's")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                audience=settings.client_id,
                issuer=settings.issuer,
                leeway=settings.skew_s,
                options={"require": ["exp", "iat", "sub"]},
            )
            if claims.get("azp", settings.client_id) != settings.client_id:
                raise jwt.InvalidTokenError("it is for another client")
            if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
                raise jwt.InvalidTokenError("its nonce is not this sign-in's")
        except AuthorityError as error:
            raise SignInError(f"The provider's keys can't be fetched now. {_AGAIN}", 503) from error
        except jwt.PyJWTError as error:
            raise SignInError(f"The provider's ID token is not valid: {error}.", 403) from None
        return claims

    async def _refresh_keys(self) -> None:
        """Fetches the keys unless they are new, so that a withdrawn key is not used for long."""
        if self._is_old(self._keys_fetched_at):
            await self._keys.fetch()
            self._keys_fetched_at = time.monotonic()

    async def _read_endpoints(self) -> _Endpoints:
        """Returns the provider's endpoints. Fetches them rarely: anyone may begin a sign-in."""
        if self._endpoints is None or self._is_old(self._endpoints_fetched_at):
            self._endpoints = await self._fetch_endpoints()
            self._endpoints_fetched_at = time.monotonic()
        return self._endpoints

    def _is_old(self, fetched_at: float) -> bool:
        """Whether what was fetched at this monotonic time must be fetched again."""
        return time.monotonic() - fetched_at > self._settings.refresh_s

    async def _fetch_endpoints(self) -> _Endpoints:
        url = f"{self._base}{_CONFIGURATION}"
        try:
            async with create_client() as client:
                found = await fetch_document(client, url)
            if found["issuer"] != self._settings.issuer:
                raise ValueError("the configuration is of another issuer")
            endpoints = msgspec.convert(found, _Endpoints)
            if not all(map(is_secure_url, msgspec.structs.astuple(endpoints))):
                raise ValueError("an endpoint is not https")
        except FETCH_ERRORS as error:
            raise SignInError(
                f"The provider's configuration can't be fetched from {url}. {_AGAIN}", 503
            ) from error
        return endpoints

    async def _exchange(self, code: str, verifier: str) -> str:
        """Exchanges the code for an ID token."""
        endpoints = await self._read_endpoints()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_url,
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.reveal(),
            "code_verifier": verifier,
        }
        try:
            async with create_client() as client:
                answer = await fetch_document(client, endpoints.token_endpoint, form)
            return str(answer["id_token"])
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            message = f"The provider refused the sign-in with status {status}. {_AGAIN}"
            raise SignInError(message, 403 if status < 500 else 503) from None
        except FETCH_ERRORS as error:
            raise SignInError(f"The provider can't be reached now. {_AGAIN}", 503) from error
