"""The filters, the order and the page of the job list, as the list's URL carries them."""

import re
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlencode

from litestar.datastructures import MultiDict
from msgspec import Struct

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.scalars import MAX_NAME_CHARS
from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.replica.paging import Cursor
from fabric_jobs.runtime.numbers import parse_whole_number
from fabric_jobs.runtime.times import parse_time

#: The names of the filters in the URL.
FILTER_NAMES = (
    "status",
    "id",
    "job_type",
    "item_type",
    "tenant",
    "workspace",
    "item",
    "executor",
    "since",
    "until",
    "exhausted",
)
#: The name of the order in the URL, and its value for the oldest jobs first.
_ORDER, _OLDEST = "order", "oldest"
#: The beginning of a GUID, in lower case.
_ID_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")


class QueryError(ValueError):
    """A part of the URL's query is invalid. The message names it."""


class Query(Struct, frozen=True):
    """A request for one page of the job list."""

    job_filter: Filter
    #: Where the page before ends; None for the first page.
    before: Cursor | None
    #: The filters and the order as the user typed them: names and values.
    typed: tuple[tuple[str, str], ...]
    oldest_first: bool = False

    @classmethod
    def parse(cls, params: MultiDict[str]) -> Self:
        """Returns the request in a URL's query parameters. Raises `QueryError`."""
        typed = typed_values(params)
        texts = dict(typed)
        since, until = (_time(texts, name) for name in ("since", "until"))
        if since and until and since >= until:
            raise QueryError("since must be a time before until.")
        if texts.get(_ORDER, _OLDEST) != _OLDEST:
            raise QueryError(f"{_ORDER} must be {_OLDEST}, or absent.")
        job_filter = Filter(
            statuses=_statuses([value for name, value in typed if name == "status"]),
            job_id_prefix=_id_prefix(texts.get("id", "")),
            job_type=texts.get("job_type", ""),
            item_type=texts.get("item_type", ""),
            tenant_id=_guid(texts, "tenant"),
            workspace_id=_guid(texts, "workspace"),
            item_id=_guid(texts, "item"),
            executor_id=texts.get("executor", ""),
            exhausted="exhausted" in texts,
            start_create_time=since,
            end_create_time=until,
        )
        return cls(job_filter, _cursor(params.get("before", "")), typed, _ORDER in texts)

    def url_query(self, before: Cursor | None) -> str:
        """Returns the URL's query for another page with the same filters and order.

        The text begins with `?`. It is empty for the first page without filters.
        """
        place = [("before", f"{before[0]}.{before[1]}")] if before else []
        return encode_query([*self.typed, *place])

    def other_order(self) -> str:
        """Returns the URL's query for the first page in the other order."""
        order = [] if self.oldest_first else [(_ORDER, _OLDEST)]
        return encode_query([*self.filters, *order])

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """The filters as the user typed them, without the order."""
        return tuple(pair for pair in self.typed if pair[0] != _ORDER)


def typed_values(params: MultiDict[str]) -> tuple[tuple[str, str], ...]:
    """Returns the filters and the order in a URL's query, as the user typed them."""
    return tuple(
        (name, value.strip())
        for name in (*FILTER_NAMES, _ORDER)
        for value in params.getall(name, [])
        if value.strip()
    )


def encode_query(pairs: list[tuple[str, str]]) -> str:
    """Returns a URL's query, beginning with `?`; an empty text if there are no pairs."""
    return f"?{urlencode(pairs)}" if pairs else ""


def _statuses(texts: list[str]) -> tuple[JobInstanceStatus, ...]:
    try:
        return tuple(sorted({JobInstanceStatus(text) for text in texts}))
    except ValueError:
        raise QueryError(f"status must be one of {', '.join(JobInstanceStatus)}.") from None


def _id_prefix(text: str) -> str:
    if text and not _ID_PREFIX.fullmatch(text.lower()):
        raise QueryError(
            f"{text[:MAX_NAME_CHARS]!r} is not a job id: type a GUID, or at least its first four "
            "characters."
        )
    return text.lower()


def _guid(texts: dict[str, str], name: str) -> str:
    try:
        return canonical_guid(texts[name]) if name in texts else ""
    except ValueError:
        raise QueryError(f"{name} {texts[name]!r} is not a GUID.") from None


def _time(texts: dict[str, str], name: str) -> datetime | None:
    try:
        return parse_time(texts[name], datetime.now(UTC)) if name in texts else None
    except ValueError as error:
        raise QueryError(f"{name}: {error}") from None


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    created, _, job_id = text.partition(".")
    try:
        created_us = parse_whole_number(created)
        if created_us is None:
            raise ValueError
        return created_us, canonical_guid(job_id)
    except ValueError:
        raise QueryError("This page does not exist. Start with the newest jobs.") from None
