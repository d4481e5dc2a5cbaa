"""Verifies a request's tokens, and remembers what it verified."""

import time
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import jwt

from fabric_jobs.facade.auth.errors import AuthError
from fabric_jobs.facade.auth.header import TokenPair, tenant, token_pair
from fabric_jobs.facade.auth.keys import Keys
from fabric_jobs.facade.auth.tokens import (
    Claims,
    Trust,
    check_app,
    check_subject,
    checked,
    claims_of,
)

#: Pairs that are remembered; one is about 300 bytes.
MAX_REMEMBERED = 10_000
MAX_TOKEN_CHARS = 16 * 1024


class Caller(NamedTuple):
    """For whom a request is made."""

    #: In the one spelling of GUIDs.
    tenant_id: str
    #: Whether a user stands behind it, beside Fabric itself.
    has_subject: bool


class Authenticator:
    """Fabric's SubjectAndApp authentication."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        #: A key that is withdrawn takes with it what was verified by it.
        self.keys = Keys(trust.authority, changed=self._forget)

    async def authenticate(self, authorization: list[str], tenants: list[str]) -> Caller:
        """Who calls, by the values of the two headers. Raises `AuthError`, `AuthorityError`."""
        # Unequal headers never share a digest: each value stands on a line of its own.
        text = "\n".join((*tenants, "", *authorization))
        digest = sha256(text.encode("utf-8", "surrogateescape")).digest()
        # If the keys change meanwhile, this is forgotten, with what is put into it below.
        remembered = self._remembered
        if known := remembered.get(digest):
            caller, expires = known
            if time.time() < expires:
                remembered.move_to_end(digest)
                return caller
            del remembered[digest]
        caller, expires = await self._verify(token_pair(authorization), tenant(tenants))
        remembered[digest] = caller, expires
        if len(remembered) > MAX_REMEMBERED:
            remembered.popitem(last=False)
        return caller

    def _forget(self) -> None:
        self._remembered = OrderedDict()

    async def _verify(self, pair: TokenPair, tenant_id: UUID) -> tuple[Caller, float]:
        app, app_id = await self._token(pair.app, "app")
        check_app(app, app_id, self._trust)
        if not pair.subject:
            return Caller(str(tenant_id), has_subject=False), app.exp
        subject, subject_app_id = await self._token(pair.subject, "subject")
        check_subject(subject, subject_app_id, app_id, tenant_id)
        return Caller(str(tenant_id), has_subject=True), min(app.exp, subject.exp)

    async def _token(self, token: str, name: str) -> tuple[Claims, UUID]:
        """A token's claims and app id, once signature, times, issuer and audience are right."""
        if len(token) > MAX_TOKEN_CHARS:
            raise AuthError(f"The {name} token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":
                raise AuthError(f"The {name} token must be signed by RS256.")
            key_id = header.get("kid")
            if not key_id:
                raise AuthError(f"The {name} token names no key.")
            key = await self.keys.find(key_id)
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
            # It may quote the token, and with it what is no text.
            reason = str(error).encode("ascii", "backslashreplace").decode()
            raise AuthError(f"The {name} token can't be taken: {reason}.") from None
        claims = claims_of(payload, name)
        return claims, checked(claims, key.issuer, self._trust, name)
