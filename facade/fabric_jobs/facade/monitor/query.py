"""The filters and the page of the job list, as the list's URL carries them."""

from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlencode

from litestar.datastructures import MultiDict
from msgspec import Struct

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.replica.paging import Cursor
from fabric_jobs.runtime.times import parse_time

#: The names of the filters in the URL.
NAMES = ("status", "job_type", "item_type", "workspace", "item", "since", "until", "exhausted")
#: A time in microseconds with more digits might not fit SQLite's integers.
_MAX_DIGITS = 18


class QueryError(ValueError):
    """A part of the URL's query is invalid. The message names it."""


class Query(Struct, frozen=True):
    """A request for one page of the job list."""

    job_filter: Filter
    #: Where the page before ends; None for the first page.
    before: Cursor | None
    #: The filters as the user typed them: names and values.
    typed: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, params: MultiDict[str]) -> Self:
        """Returns the request in a URL's query parameters. Raises `QueryError`."""
        typed = tuple(
            (name, value.strip())
            for name in NAMES
            for value in params.getall(name, [])
            if value.strip()
        )
        texts = dict(typed)
        since, until = (_time(texts, name) for name in ("since", "until"))
        if since and until and since >= until:
            raise QueryError("since must be a time before until.")
        job_filter = Filter(
            statuses=_statuses([value for name, value in typed if name == "status"]),
            job_type=texts.get("job_type", ""),
            item_type=texts.get("item_type", ""),
            workspace_id=_guid(texts, "workspace"),
            item_id=_guid(texts, "item"),
            exhausted="exhausted" in texts,
            start_create_time=since,
            end_create_time=until,
        )
        return cls(job_filter, _cursor(params.get("before", "")), typed)

    def url_query(self, before: Cursor | None) -> str:
        """Returns the URL's query for another page with the same filters.

        The text begins with `?`. It is empty for the first page without filters.
        """
        place = [("before", f"{before[0]}.{before[1]}")] if before else []
        return f"?{urlencode([*self.typed, *place])}" if self.typed or place else ""

    @property
    def values(self) -> dict[str, str]:
        """The last typed value of each filter, by the filter's name."""
        return dict(self.typed)


def _statuses(texts: list[str]) -> tuple[JobInstanceStatus, ...]:
    try:
        return tuple(sorted({JobInstanceStatus(text) for text in texts}))
    except ValueError:
        raise QueryError(f"status must be one of {', '.join(JobInstanceStatus)}.") from None


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
        if not created.isascii() or not created.isdigit() or len(created) > _MAX_DIGITS:
            raise ValueError
        return int(created), canonical_guid(job_id)
    except ValueError:
        raise QueryError("This page does not exist. Start with the newest jobs.") from None
