"""Parses Fabric's two headers: Authorization and the tenant header."""

import re
from typing import NamedTuple
from uuid import UUID

from fabric_jobs.contract import guids
from fabric_jobs.facade.auth.errors import AuthError

TENANT_HEADER = "x-ms-client-tenant-id"

_SCHEME = re.compile(r"SubjectAndAppToken1\.0[ \t]+", re.ASCII | re.IGNORECASE)
_PARAMETER = re.compile(
    r'(subjectToken|appToken)[ \t]*=[ \t]*"([\w.-]*)"[ \t]*(?:,[ \t]*|$)', re.ASCII | re.IGNORECASE
)


class TokenPair(NamedTuple):
    """The two tokens of an Authorization header; the subject token may be empty."""

    subject: str
    app: str


def token_pair(values: list[str]) -> TokenPair:
    """The tokens in the values of a request's Authorization headers.

    As HTTP has it, the scheme and the names ignore case, and the order of the two is free. A
    subject token that is left out is an empty one. Raises `AuthError` unless there is exactly one
    header, of the right form.
    """
    if len(values) != 1:
        raise AuthError("Send exactly one Authorization header.")
    text = values[0].strip()
    scheme = _SCHEME.match(text)
    place = scheme.end() if scheme else 0
    tokens = dict[str, str]()
    while scheme and (found := _PARAMETER.match(text, place)):
        if found[1].lower() in tokens:
            raise AuthError(f"Authorization has more than one {found[1]}.")
        tokens[found[1].lower()] = found[2]
        place = found.end()
    if place < len(text) or not tokens.get("apptoken"):
        raise AuthError(
            'Authorization must be: SubjectAndAppToken1.0 subjectToken="<jwt>", appToken="<jwt>".'
        )
    return TokenPair(tokens.get("subjecttoken", ""), tokens["apptoken"])


def tenant(values: list[str]) -> UUID:
    """The customer's tenant in the values of a request's tenant headers.

    Raises `AuthError` unless there is exactly one header, with a GUID.
    """
    if len(values) != 1:
        raise AuthError(f"Send exactly one {TENANT_HEADER} header.")
    return guid(values[0], TENANT_HEADER)


def guid(text: str, name: str) -> UUID:
    """The GUID in a text. Raises `AuthError`, whose message calls the text `name`."""
    try:
        return guids.parse_guid(text)
    except ValueError:
        raise AuthError(f"{name} is not a GUID.") from None
