"""Page tokens: the place of a page's last job, opaque to clients."""

import base64
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.facade.replica import Filter


class Place(Struct, array_like=True, frozen=True):
    """Where a page ended, and what it was filtered by."""

    #: Within what SQLite takes for an integer.
    created_us: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    job_id: str
    which: Filter


def to_token(place: Place) -> str:
    """The token that names the next page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def from_token(token: str, which: Filter) -> tuple[int, str] | None:
    """Where the page before ended; none for the first. Raises `ValueError`."""
    if not token:
        return None
    place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=Place)
    if place.which != which:
        raise ValueError("the token belongs to other filters")
    return place.created_us, place.job_id
