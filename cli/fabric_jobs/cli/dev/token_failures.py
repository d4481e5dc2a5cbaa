"""Answers of the local token endpoint that are no tokens, in the words of Microsoft Entra ID."""

from msgspec import UNSET, Struct, UnsetType


class Failure(Struct, frozen=True, kw_only=True):
    """An answer of the endpoint that is no token."""

    status: int = 400
    error: str
    description: str
    suberror: str | UnsetType = UNSET
    #: The claims of a conditional access policy, as JSON.
    claims: str | UnsetType = UNSET
    #: Seconds after which the client may try again, as the header says.
    retry_after_s: int | None = None


CONSENT_NEEDED = Failure(
    error="invalid_grant",
    suberror="consent_required",
    description="AADSTS65001: The user or administrator has not consented to use the application.",
)
SECOND_FACTOR_NEEDED = Failure(
    error="interaction_required",
    suberror="basic_action",
    description="AADSTS50076: You must use multi-factor authentication to access the resource.",
    claims='{"access_token":{"polids":{"essential":true,"values":["local-policy"]}}}',
)
REVOKED = Failure(
    error="invalid_grant",
    suberror="bad_token",
    description="AADSTS50173: The provided grant has expired due to it being revoked.",
)
THROTTLED = Failure(
    status=429,
    error="temporarily_unavailable",
    description="AADSTS90055: The tenant has too many requests.",
    retry_after_s=1,
)
AWAY = Failure(status=503, error="service_unavailable", description="The issuer is away.")
WRONG_SECRET = Failure(
    status=401, error="invalid_client", description="AADSTS7000215: Invalid client secret provided."
)
UNREADABLE = Failure(
    error="invalid_request",
    description="AADSTS900144: The request must have a length and a form in UTF-8.",
)
