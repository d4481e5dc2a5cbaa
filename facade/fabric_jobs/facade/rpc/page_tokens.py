"""Page tokens of `ListJobs`: the cursor of a page's end and the filters, opaque to clients."""

import base64
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.replica.paging import Cursor
from fabric_jobs.facade.rpc.bounds import MAX_PAGE_TOKEN_CHARS


class _PageToken(Struct, array_like=True, frozen=True):
    #: The cursor's time. SQLite's integers have 64 bits.
    created_us: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    job_id: str
    job_filter: Filter


def encode_page_token(end: Cursor | None, job_filter: Filter) -> str:
    """Returns the token of the page after this cursor; an empty text if no page follows."""
    if end is None:
        return ""
    token = _PageToken(*end, job_filter)
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def decode_page_token(text: str, job_filter: Filter) -> Cursor | None:
    """Returns the cursor in a token, or None for an empty text, which means the first page.

    Raises `ValueError` for an invalid token, or a token of a request with other filters.
    """
    if not text:
        return None
    if len(text) > MAX_PAGE_TOKEN_CHARS:
        raise ValueError(f"it has more than {MAX_PAGE_TOKEN_CHARS} characters")
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_PageToken)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if token.job_filter != job_filter:
        raise ValueError("it belongs to a request with other filters")
    return token.created_us, token.job_id
