"""Logging for people or as JSON. Every line carries the ids of the job and request it concerns.

A line holds texts of strangers: paths, headers, ids, exceptions. So the formatters cut and escape
them, whoever logs them: programs of ours, libraries and handlers.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from math import isfinite
from textwrap import indent
from typing import Any

from opentelemetry import trace

from fabric_jobs.runtime.settings import LogFormat, LogLevel
from fabric_jobs.runtime.text import (
    describe_exception,
    escape,
    escape_lines,
    format_exception,
    text_of,
    truncate,
    truncate_start,
)

#: Seconds between two lines of the same outage.
OUTAGE_INTERVAL_S = 60.0
_bound: ContextVar[dict[str, str]] = ContextVar("bound_ids")
#: At INFO these libraries log each step of a group join, each request and each start phase.
LIBRARIES = ("aiokafka", "httpx", "uvicorn")
_EXPORTERS = "opentelemetry.exporter"
#: The loggers whose lines count as one in an outage, with those below them.
_SHARED = ("aiokafka", _EXPORTERS)
#: The attributes of every log record. Any other attribute comes from the caller's `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "asctime", "message"}


@contextmanager
def bind_ids(**ids: str | None) -> Iterator[None]:
    """Adds these ids to every line that any library logs inside the block; skips empty ids."""
    token = _bound.set(bound_ids() | {name: value for name, value in ids.items() if value})
    try:
        yield
    finally:
        _bound.reset(token)


def bound_ids() -> dict[str, str]:
    """Returns the ids of the enclosing `bind_ids` blocks, without those of the trace."""
    return _bound.get({})


def configure(log_format: LogFormat, level: LogLevel = "info") -> None:
    """Configures the root logger: standard error, from the level on, each line with its ids."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[log_format]())
    handler.addFilter(OutageFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level == "debug":
        return
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
    # At WARNING the exporter logs each retry; at ERROR it logs the final loss only.
    logging.getLogger(_EXPORTERS).setLevel(logging.ERROR)


class OutageFilter(logging.Filter):
    """Passes one line of an outage, then one each `OUTAGE_INTERVAL_S` with the number left out.

    While Kafka is away, aiokafka and `fabric_jobs.log` log each of their tries. While the
    collector is away, the exporters log each lost batch. All lines of aiokafka are the same outage,
    and so are all lines of the exporters. Lines of `fabric_jobs.log` are the same outage if their
    texts are equal.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        #: By key: when a line was last passed, and how many were left out since.
        self._passed: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is passed."""
        library = next((name for name in _SHARED if f"{record.name}.".startswith(f"{name}.")), "")
        if library:
            key = library
        elif record.name == "fabric_jobs.log" and record.levelno == logging.WARNING:
            key = str(record.msg)
        else:
            return True
        now = self._clock()
        passed_at, left_out = self._passed.get(key, (float("-inf"), 0))
        if now - passed_at < OUTAGE_INTERVAL_S:
            self._passed[key] = (passed_at, left_out + 1)
            return False
        self._passed[key] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} such lines before it were left out)"
            record.args = None
        return True


def warn_with_stack(logger: logging.Logger, stack: str, message: str, *args: object) -> None:
    """Logs a warning with a stack or a traceback that is a text, such as that of another thread."""
    if logger.isEnabledFor(logging.WARNING):
        where = (logger.name, logging.WARNING, __file__, 0)
        logger.handle(logger.makeRecord(*where, message, args, None, sinfo=stack or None))


def _all_ids() -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return bound_ids()
    return bound_ids() | {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


def message_of(record: logging.LogRecord) -> str:
    """Returns the record's message, cut; if it can't be formatted, a text that says so."""
    try:
        return truncate(record.getMessage())
    except Exception as error:
        return f"{record.msg!r:.200} can't be formatted: {describe_exception(error)}"


def plain_value(value: object) -> str | int | float | bool | None:
    """Returns a value of `extra` as a number of at most 64 bits, a boolean, `None` or a text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    return text_of(value)


class _SafeFormatter(logging.Formatter):
    """Bounds what a record's author and an exception's author can put into a line."""

    def exception_of(self, record: logging.LogRecord) -> str:
        """Returns the record's traceback, cut. A traceback of another process is a text already."""
        if record.exc_info:
            return self.formatException(record.exc_info)
        return truncate_start(record.exc_text or "")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return truncate_start(format_exception(ei[1])) if ei[1] else ""


class _ConsoleFormatter(_SafeFormatter):
    """A line for people. What comes below it, such as a traceback, is indented."""

    #: The ids that no line shows.
    hidden_ids: Collection[str] = ()

    def format(self, record: logging.LogRecord) -> str:
        ids = "".join(
            f" {name}={_console_value(value)}"
            for name, value in _all_ids().items()
            if name not in self.hidden_ids
        )
        line = f"{self.formatTime(record)} {record.levelname} {record.name} "
        line += escape(message_of(record)) + ids
        below = [self.exception_of(record)]
        if record.stack_info:
            below.append(truncate_start(record.stack_info))
        # Indented, so that no text of an exception looks like a further line of the log.
        return "\n".join([line, *(indent(escape_lines(text), "  ") for text in below if text)])


class _BriefFormatter(_ConsoleFormatter):
    """A line for a developer at a terminal, who sees few requests at a time."""

    hidden_ids = ("ActivityId", "RequestId", "trace_id", "span_id")


class _JsonFormatter(_SafeFormatter):
    """A JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **_all_ids(),
        }
        if exception := self.exception_of(record):
            line["exception"] = exception
        if record.stack_info:
            line["stack"] = truncate_start(record.stack_info)
        hidden = _STANDARD | line.keys()
        extra = {
            name: _json_value(value) for name, value in vars(record).items() if name not in hidden
        }
        # ASCII alone, in which one control character is left.
        return json.dumps(line | extra).replace("\x7f", "\\u007f")


def _console_value(value: str) -> str:
    """Returns the value of an id, in quotes if it could be read as several ids."""
    value = escape(value)
    return json.dumps(value, ensure_ascii=False) if re.search(r'[\s="]', value) else value


def _json_value(value: object) -> object:
    """Returns a value of `extra` as JSON supports it; an unsupported value becomes a text."""
    value = plain_value(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return truncate(value) if isinstance(value, str) else value


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {
    "console": _ConsoleFormatter,
    "brief": _BriefFormatter,
    "json": _JsonFormatter,
}
