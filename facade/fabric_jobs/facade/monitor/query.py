"""The list's filters and page, as they stand in its URL."""

from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlencode

from litestar.datastructures import MultiDict
from msgspec import Struct

from fabric_jobs.contract.guids import canonical
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.replica import Filter
from fabric_jobs.runtime.times import moment

#: The filters, by their names in the URL.
NAMES = ("status", "job_type", "item_type", "workspace", "item", "since", "until", "exhausted")
Place = tuple[int, str]


class QueryError(ValueError):
    """A part of the URL's query can't be used; the message names it."""


class Query(Struct, frozen=True):
    """What is asked for, and as it was typed."""

    which: Filter
    #: The place of the page before's last job; none for the first page.
    before: Place | None
    typed: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, given: MultiDict[str]) -> Self:
        """Of a URL's query. Raises `QueryError`."""
        typed = tuple(
            (name, value.strip())
            for name in NAMES
            for value in given.getall(name, [])
            if value.strip()
        )
        texts = dict(typed)
        since, until = (_time(texts, name) for name in ("since", "until"))
        if since and until and since >= until:
            raise QueryError("since must be a time before until.")
        which = Filter(
            statuses=_statuses([value for name, value in typed if name == "status"]),
            job_type=texts.get("job_type", ""),
            item_type=texts.get("item_type", ""),
            workspace_id=_guid(texts, "workspace"),
            item_id=_guid(texts, "item"),
            exhausted="exhausted" in texts,
            start_create_time=since,
            end_create_time=until,
        )
        return cls(which, _place(given.get("before", "")), typed)

    def text(self, before: Place | None) -> str:
        """The URL's query for that page of the same filters, with its `?`; empty for none."""
        place = [("before", f"{before[0]}.{before[1]}")] if before else []
        return f"?{urlencode([*self.typed, *place])}" if self.typed or place else ""

    @property
    def values(self) -> dict[str, str]:
        """What was typed, by its name."""
        return dict(self.typed)


def _statuses(texts: list[str]) -> tuple[JobInstanceStatus, ...]:
    try:
        return tuple(sorted({JobInstanceStatus(text) for text in texts}))
    except ValueError:
        raise QueryError(f"status must be one of {', '.join(JobInstanceStatus)}.") from None


def _guid(texts: dict[str, str], name: str) -> str:
    try:
        return canonical(texts[name]) if name in texts else ""
    except ValueError:
        raise QueryError(f"{name} {texts[name]!r} is not a GUID.") from None


def _time(texts: dict[str, str], name: str) -> datetime | None:
    try:
        return moment(texts[name], datetime.now(UTC)) if name in texts else None
    except ValueError as error:
        raise QueryError(f"{name}: {error}") from None


def _place(text: str) -> Place | None:
    if not text:
        return None
    created, _, job_id = text.partition(".")
    try:
        # Digits as SQLite takes them for an integer.
        if not created.isascii() or not created.isdigit() or len(created) > 18:
            raise ValueError
        return int(created), canonical(job_id)
    except ValueError:
        raise QueryError("That page can't be found: begin with the newest jobs.") from None
