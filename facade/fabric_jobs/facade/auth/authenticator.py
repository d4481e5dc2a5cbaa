"""Verifies a request's tokens, and remembers the pairs that it has verified."""

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
    check_version,
    decode_claims,
)

#: Verified pairs that are remembered; one takes about 300 bytes.
MAX_REMEMBERED_PAIRS = 10_000
MAX_TOKEN_CHARS = 16 * 1024


class Caller(NamedTuple):
    """Whom Fabric makes a request for."""

    #: The customer's tenant, as a canonical GUID.
    tenant_id: str
    #: Whether the request carries a user's token beside Fabric's own.
    has_subject: bool


class Authenticator:
    """Fabric's SubjectAndApp authentication."""

    def __init__(self, trust: Trust, refresh_s: float) -> None:
        """`refresh_s` is the number of seconds between two fetches of the authority's keys."""
        self._trust = trust
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        #: A change of the keys forgets all pairs, because a withdrawn key may have signed them.
        self.keys = Keys(trust.authority, refresh_s, on_change=self._forget)

    async def authenticate(self, authorization: list[str], tenants: list[str]) -> Caller:
        """The caller, by the values of the Authorization and the tenant headers.

        Raises `AuthError`, and `AuthorityError` if the authority's keys can't be fetched.
        """
        # Each value has a line of its own, so that different headers never have the same digest.
        text = "\n".join((*tenants, "", *authorization))
        digest = sha256(text.encode("utf-8", "surrogateescape")).digest()
        # A change of the keys during verification replaces the dictionary, so that this pair is
        # put into the old one and is not remembered.
        remembered = self._remembered
        if known := remembered.get(digest):
            caller, expires = known
            if time.time() < expires:
                remembered.move_to_end(digest)
                return caller
            del remembered[digest]
        caller, expires = await self._verify_pair(token_pair(authorization), tenant(tenants))
        remembered[digest] = caller, expires
        if len(remembered) > MAX_REMEMBERED_PAIRS:
            remembered.popitem(last=False)
        return caller

    def _forget(self) -> None:
        self._remembered = OrderedDict()

    async def _verify_pair(self, pair: TokenPair, tenant_id: UUID) -> tuple[Caller, float]:
        app, app_id = await self._verify_token(pair.app, "app")
        check_app(app, app_id, self._trust)
        if not pair.subject:
            return Caller(str(tenant_id), has_subject=False), app.exp
        subject, subject_app_id = await self._verify_token(pair.subject, "subject")
        check_subject(subject, subject_app_id, app_id, tenant_id)
        return Caller(str(tenant_id), has_subject=True), min(app.exp, subject.exp)

    async def _verify_token(self, token: str, name: str) -> tuple[Claims, UUID]:
        """Checks signature, times, issuer and audience; returns the claims and the app id."""
        if len(token) > MAX_TOKEN_CHARS:
            raise AuthError(f"The {name} token has more than {MAX_TOKEN_CHARS} characters.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":
                raise AuthError(f"The {name} token must be signed by RS256.")
            key_id = header.get("kid")
            if not key_id:
                raise AuthError(f"The {name} token has no key id.")
            key = await self.keys.find(key_id)
            if key is None:
                raise AuthError(f"The {name} token's key is not one of the authority's.")
            payload = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                leeway=self._trust.skew_s,
                # `check_version` checks issuer and audience, because they depend on the version.
                options={"require": ["exp", "nbf"], "verify_aud": False, "verify_iss": False},
            )
        except jwt.PyJWTError as error:
            # The message may quote the token, which need not be valid text.
            reason = str(error).encode("ascii", "backslashreplace").decode()
            raise AuthError(f"The {name} token is not valid: {reason}.") from None
        claims = decode_claims(payload, name)
        return claims, check_version(claims, key.issuer, self.keys.v1_issuer, self._trust, name)
