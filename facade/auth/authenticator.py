"""Verifies a request's tokens, and remembers what it verified."""

import time
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import jwt

from facade.auth.errors import AuthError
from facade.auth.header import TokenPair, tenant, token_pair
from facade.auth.keys import Keys
from facade.auth.tokens import Claims, Trust, check_app, check_subject, checked, claims_of

#: Pairs that are remembered; one is about 300 bytes.
REMEMBERED = 10_000
MAX_TOKEN_CHARS = 16 * 1024


class Caller(NamedTuple):
    """For whom a request is made."""

    tenant_id: UUID
    #: Whether a user stands behind it, beside Fabric itself.
    has_subject: bool


class Authenticator:
    """Fabric's SubjectAndApp authentication."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        #: A key that is withdrawn takes with it what was verified by it.
        self.keys = Keys(trust.authority, changed=self._remembered.clear)

    async def authenticate(self, authorization: list[str], tenants: list[str]) -> Caller:
        """Who calls, by the values of the two headers. Raises `AuthError`, `AuthorityError`."""
        # Unequal headers never share a digest: each value stands on a line of its own.
        text = "\n".join((*tenants, "", *authorization))
        digest = sha256(text.encode("utf-8", "surrogateescape")).digest()
        if known := self._remembered.get(digest):
            caller, expires = known
            if time.time() < expires:
                self._remembered.move_to_end(digest)
                return caller
            del self._remembered[digest]
        caller, expires = await self._verify(token_pair(authorization), tenant(tenants))
        self._remembered[digest] = caller, expires
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return caller

    async def _verify(self, pair: TokenPair, tenant_id: UUID) -> tuple[Caller, float]:
        app, app_id = await self._token(pair.app, "app")
        check_app(app, app_id, self._trust)
        if not pair.subject:
            return Caller(tenant_id, has_subject=False), app.exp
        subject, subject_app_id = await self._token(pair.subject, "subject")
        check_subject(subject, subject_app_id, app_id, tenant_id)
        return Caller(tenant_id, has_subject=True), min(app.exp, subject.exp)

    async def _token(self, token: str, name: str) -> tuple[Claims, UUID]:
        """A token's claims and app id, once signature, times, issuer and audience are right."""
        if len(token) > MAX_TOKEN_CHARS:
            raise AuthError(f"The {name} token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":
                raise AuthError(f"The {name} token must be signed by RS256.")
            key = await self.keys.find(str(header.get("kid", "")))
            if key is None:
                raise AuthError(f"The {name} token's key is none of the authority's.")
            payload = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                leeway=self._trust.skew_s,
                # Issuer and audience follow from the version, and are checked by it.
                options={"require": ["exp", "nbf"], "verify_aud": False, "verify_iss": False},
            )
        except jwt.PyJWTError as error:
            raise AuthError(f"The {name} token can't be taken: {error}.") from None
        claims = claims_of(payload, name)
        return claims, checked(claims, key.issuer, self._trust, name)
