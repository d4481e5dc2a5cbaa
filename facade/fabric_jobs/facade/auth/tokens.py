"""Checks the claims of the two tokens. Their signatures have been verified before."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.facade.auth.errors import AuthError
from fabric_jobs.facade.auth.header import guid

SCOPE = "FabricWorkloadControl"


class Trust(Struct, frozen=True, kw_only=True):
    """Whose tokens are accepted, and which audience the tokens must have."""

    #: The authority's URL, without a slash at its end.
    authority: str
    #: The tenant that published the workload.
    publisher_tenant: UUID
    #: The workload's Application ID URI, which is the audience of v1 tokens.
    audience: str
    #: The workload's client id, which is the audience of v2 tokens.
    client_id: str
    #: Fabric's own app ids.
    fabric_app_ids: frozenset[UUID]
    #: Seconds by which the authority's clock may differ from this machine's.
    skew_s: float


class Claims(Struct, frozen=True, kw_only=True):
    """The claims that are checked, each with the type that it must have."""

    ver: str
    iss: str
    #: One audience, also as a list of one, which is another spelling of it in JWT.
    aud: str | Annotated[tuple[str, ...], Meta(min_length=1, max_length=1)]
    tid: str
    exp: Annotated[float, Meta(gt=0)]
    nbf: float
    appid: str | None = None
    azp: str | None = None
    oid: str | None = None
    idtyp: str | None = None
    scp: str | None = None


def decode_claims(payload: dict[str, Any], name: str) -> Claims:
    """Decodes a token's payload. Raises `AuthError` if a claim is missing or of a wrong type."""
    try:
        return msgspec.convert(payload, Claims)
    except msgspec.ValidationError as error:
        raise AuthError(f"The {name} token's claims are wrong: {error}.") from None


def check_version(
    claims: Claims, key_issuer: str | None, v1_issuer: str, trust: Trust, name: str
) -> UUID:
    """Checks issuer and audience by the token's version; returns the id of the calling app.

    `key_issuer` is the issuer that the signing key is bound to, `v1_issuer` that of v1 tokens, both
    with `{tenantid}` in place of the tenant. Raises `AuthError`.
    """
    tid = guid(claims.tid, f"The {name} token's tid")
    match claims.ver:
        case "1.0":
            issuer, audience, app = (
                v1_issuer.replace("{tenantid}", str(tid)),
                trust.audience,
                claims.appid,
            )
        case "2.0":
            issuer, audience, app = f"{trust.authority}/{tid}/v2.0", trust.client_id, claims.azp
        case _:
            raise AuthError(f"The {name} token's ver must be 1.0 or 2.0.")
    if claims.iss.lower() != issuer.lower():
        raise AuthError(f"The {name} token's issuer must be {issuer}.")
    if key_issuer and key_issuer.replace("{tenantid}", str(tid)).lower() != issuer.lower():
        raise AuthError(f"The {name} token's key belongs to another issuer.")
    sent = claims.aud if isinstance(claims.aud, str) else claims.aud[0]
    if sent.lower() != audience.lower():
        raise AuthError(f"The {name} token's audience must be {audience}.")
    if app is None:
        raise AuthError(f"The {name} token has no app id.")
    return guid(app, f"The {name} token's app id")


def check_app(claims: Claims, app_id: UUID, trust: Trust) -> None:
    """Checks that an app token is Fabric's own. Raises `AuthError`."""
    if claims.idtyp != "app":
        raise AuthError("The app token's idtyp must be app.")
    if not claims.oid:
        raise AuthError("The app token has no oid.")
    if claims.scp is not None:
        raise AuthError("The app token must have no scp.")
    if app_id not in trust.fabric_app_ids:
        raise AuthError("The app token's app is not Fabric.")
    if UUID(claims.tid) != trust.publisher_tenant:
        raise AuthError("The app token's tenant is not the publisher's.")


def check_subject(claims: Claims, app_id: UUID, fabric_app_id: UUID, tenant: UUID) -> None:
    """Checks that a subject token is of a user of the tenant, and issued for Fabric's app.

    Raises `AuthError`.
    """
    if claims.idtyp is not None:
        raise AuthError("The subject token must have no idtyp.")
    if SCOPE not in (claims.scp or "").split(" "):
        raise AuthError(f"The subject token's scp must contain {SCOPE}.")
    if app_id != fabric_app_id:
        raise AuthError("The subject token's app is not the app token's.")
    if UUID(claims.tid) != tenant:
        raise AuthError("The subject token's tenant is not that of the tenant header.")
