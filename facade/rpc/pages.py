"""Page tokens: the place of a page's last job, opaque to clients."""

import base64

import msgspec
from msgspec import Struct


class Place(Struct, array_like=True, frozen=True):
    """Where a page ended, and the filters it was asked with."""

    created_us: int
    job_id: str
    filters: str


def to_token(place: Place) -> str:
    """The token that names the next page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def from_token(token: str, filters: str) -> tuple[int, str] | None:
    """Where the page before ended; none for the first. Raises `ValueError`."""
    if not token:
        return None
    place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=Place)
    if place.filters != filters:
        raise ValueError("the token belongs to other filters")
    return place.created_us, place.job_id
