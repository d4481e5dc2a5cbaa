"""Log lines that carry the ids of what they are about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, str]] = ContextVar("about")


@contextmanager
def concerning(**ids: str | None) -> Iterator[None]:
    """Every line that is logged inside, by whatever library, carries these ids."""
    token = _about.set(about() | {name: value for name, value in ids.items() if value})
    try:
        yield
    finally:
        _about.reset(token)


def about() -> dict[str, str]:
    """The ids that a line logged here would carry."""
    return _about.get({})


def configure() -> None:
    """Logs to standard error, each line with its ids."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # They tell each step of joining a group, each request, and each phase of a start.
    for name in ("aiokafka", "httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        ids = "".join(f" {name}={value}" for name, value in about().items())
        return super().formatMessage(record) + ids
