"""How values are written on a page. All times are in UTC."""

from datetime import UTC, date, datetime

import msgspec
from markupsafe import Markup

from fabric_jobs.facade.lifecycle import Job

_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


def today() -> date:
    """The day, in UTC."""
    return datetime.now(UTC).date()


def instant(time: datetime) -> Markup:
    """The time to the second."""
    text = time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}">{}</time>').format(_exact(time), text)


def short_time(time: datetime) -> Markup:
    """The time of a day to the second; the day, too, where that is not today."""
    day = time.astimezone(UTC).date()
    if day != today():
        return instant(time)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        _exact(time), day.isoformat(), time.astimezone(UTC).strftime("%H:%M:%S")
    )


def duration(seconds: float) -> str:
    """The time in its two largest units; `monitor.js` writes it alike."""
    whole = max(0, int(seconds))
    if whole >= _DAY_S:
        return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    if whole >= _MINUTE_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole} s"


def elapsed(since: datetime, until: datetime | None = None) -> Markup:
    """How long it took; without an end, how long it is by now, which the browser counts on."""
    if until:
        seconds = max(0.0, (until - since).total_seconds())
        # What is quick is told apart.
        return Markup("{}").format(f"{seconds:.1f} s" if seconds < 10 else duration(seconds))
    text = duration((datetime.now(UTC) - since).total_seconds())
    return Markup('<span data-since="{}">{}</span>').format(_exact(since), text)


def _exact(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def payload(job: Job) -> str:
    """The creation payload, indented; numbers and texts are as they were sent."""
    return msgspec.json.format(job.payload, indent=2).decode()


def trace_id(traceparent: str) -> str:
    """Of a W3C Trace Context."""
    return traceparent.split("-")[1]
