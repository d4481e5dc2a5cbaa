"""Parses Fabric's two headers: Authorization and the tenant header."""

import re
from typing import NamedTuple
from uuid import UUID

from fabric_jobs.contract import guids
from fabric_jobs.facade.auth.errors import AuthError

TENANT_HEADER = "x-ms-client-tenant-id"

_PAIR = re.compile(
    r'SubjectAndAppToken1\.0 +subjectToken="(?P<subject>[\w.-]*)", *appToken="(?P<app>[\w.-]+)"',
    re.ASCII,
)


class TokenPair(NamedTuple):
    """The two tokens of an Authorization header; the subject token may be empty."""

    subject: str
    app: str


def token_pair(values: list[str]) -> TokenPair:
    """The tokens in the values of a request's Authorization headers.

    Raises `AuthError` unless there is exactly one header, of the right form.
    """
    if len(values) != 1:
        raise AuthError("Send exactly one Authorization header.")
    found = _PAIR.fullmatch(values[0].strip())
    if not found:
        raise AuthError(
            'Authorization must be: SubjectAndAppToken1.0 subjectToken="<jwt>", appToken="<jwt>".'
        )
    return TokenPair(found["subject"], found["app"])


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
