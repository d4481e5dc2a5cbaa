"""Reads what the authority answers to a request for a token: the token, or why there is none."""

from math import isfinite
from typing import Any

from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    Interaction,
    InteractionRequiredError,
    TokenError,
    TokenRefusedError,
)
from fabric_jobs.facade.on_behalf_of.token import Token
from fabric_jobs.runtime.settings import Secret

#: Bound of the seconds that an access token is taken to be valid. Entra's live for 28 hours at
#: most.
MAX_LIFETIME_S = 172_800.0
#: Bound of the characters of the authority's text.
_MAX_TEXT_CHARS = 1024
#: The authority's codes that mean: the user has to do something.
_OF_USER = {"interaction_required", "invalid_grant", "consent_required", "login_required"}
#: The authority's codes that mean: try again later.
_FOR_NOW = {"temporarily_unavailable", "server_error", "service_unavailable", "request_timeout"}


def read_answer(answer: Any, scope: str, given_at: float) -> Token:
    """Returns the token of an answer to a request at the time `given_at`. Raises `TokenError`."""
    if not isinstance(answer, dict):
        raise AuthorityAwayError("The authority's answer is no JSON object.")
    access_token = answer.get("access_token")
    if not (access_token and isinstance(access_token, str)):
        raise _error_of(answer, scope)
    refresh_token = answer.get("refresh_token")
    return Token(
        access_token=Secret(access_token),
        given_at=given_at,
        expires_at=given_at + _lifetime_s(answer.get("expires_in")),
        refresh_token=Secret(str(refresh_token)) if refresh_token else None,
    )


def _lifetime_s(expires_in: object) -> float:
    """The seconds that a token is valid; 0 if the authority does not say it."""
    try:
        seconds = float(str(expires_in))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MAX_LIFETIME_S) if isfinite(seconds) else 0.0


def _error_of(answer: dict[str, Any], scope: str) -> TokenError:
    """The error that an answer without a token stands for."""
    code = str(answer.get("error") or "").strip() or "no_token"
    text = str(answer.get("error_description") or "").strip() or code
    text = text.splitlines()[0][:_MAX_TEXT_CHARS]
    if code in _FOR_NOW:
        return AuthorityAwayError(f"The authority asks for patience: {text}")
    if code in _OF_USER:
        claims = str(answer.get("claims") or "")
        return InteractionRequiredError(
            Interaction(error=code, message=text, scopes=(scope,), claims=claims)
        )
    return TokenRefusedError(f"The authority refuses {scope}: {code}, {text}")
