"""Log lines that carry the ids of what they are about, for people or as JSON."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from math import isfinite

from opentelemetry import trace

from fabric_jobs.runtime.settings import LogFormat

_about: ContextVar[dict[str, str]] = ContextVar("about")
#: What every record has; anything else in one is its author's `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "asctime", "message"}


@contextmanager
def concerning(**ids: str | None) -> Iterator[None]:
    """Every line that is logged inside, by whatever library, carries these ids."""
    token = _about.set(about() | {name: value for name, value in ids.items() if value})
    try:
        yield
    finally:
        _about.reset(token)


def about() -> dict[str, str]:
    """The ids that a line logged here would carry, beside those of the trace."""
    return _about.get({})


def configure(log_format: LogFormat) -> None:
    """Logs to standard error, each line with its ids."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[log_format]())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # They tell each step of joining a group, each request, and each phase of a start.
    for name in ("aiokafka", "httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It tells each try to send what it tells again once it is lost.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)


def _ids() -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return about()
    return about() | {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


class _ConsoleFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        ids = "".join(f" {name}={value}" for name, value in _ids().items())
        return super().formatMessage(record) + ids


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        hidden = _STANDARD | line.keys()
        extra = {name: _plain(said) for name, said in vars(record).items() if name not in hidden}
        return json.dumps(line | extra)


def _plain(said: object) -> object:
    """A value of an `extra` as JSON can say it."""
    if isinstance(said, float):
        return said if isfinite(said) else str(said)
    return said if said is None or isinstance(said, bool | int | str) else str(said)


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {
    "console": _ConsoleFormatter,
    "json": _JsonFormatter,
}
