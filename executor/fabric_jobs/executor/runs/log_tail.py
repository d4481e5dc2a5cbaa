"""The last lines that a handler logged, which the report of a failed attempt carries."""

import logging
import time
from collections import deque
from contextvars import ContextVar

from fabric_jobs.contract.errors import MAX_LOG_TAIL_BYTES, truncate_to_end
from fabric_jobs.contract.wire import utf8_text

#: The beginning of the names of fabric-jobs' own loggers, whose lines are not the handler's.
_OWN_LOGGERS = "fabric_jobs."


class LogTail:
    """The last lines of one run. Lines may be added from any thread."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._chars = 0

    def add(self, line: str) -> None:
        """Adds a line, and drops the oldest ones beyond the bound."""
        line = line[-MAX_LOG_TAIL_BYTES:]
        self._lines.append(line)
        self._chars += len(line) + 1
        while self._chars > MAX_LOG_TAIL_BYTES and len(self._lines) > 1:
            self._chars -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        """Returns the lines, cut to the end that fits an event."""
        text = "".join(f"{line}\n" for line in self._lines.copy())
        return truncate_to_end(utf8_text(text), MAX_LOG_TAIL_BYTES)


def enable_own_logger() -> None:
    """Enables the executor's logger, which a logging configuration of the author may disable.

    `logging.config` disables every logger that exists, unless it is told not to.
    """
    logging.getLogger("fabric_jobs.executor").disabled = False


_current: ContextVar[LogTail | None] = ContextVar("log_tail", default=None)


def keep_log_lines(tail: LogTail) -> None:
    """Adds each line to the tail that is logged from now on in the current context.

    Each task has a context. Tasks and threads that asyncio starts in it get copies of the context.
    """
    root = logging.getLogger()
    if _HANDLER not in root.handlers:
        root.addHandler(_HANDLER)
    _current.set(tail)


class _TailHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tail = _current.get()
        if tail is not None and not record.name.startswith(_OWN_LOGGERS):
            try:
                tail.add(self.format(record))
            except Exception:  # the arguments of the line are the author's, and may not fit
                self.handleError(record)
        # logging prints warnings of a program that has configured no handler. Without this line,
        # the presence of this handler would stop that.
        last = logging.lastResort
        if last and logging.getLogger().handlers == [self] and record.levelno >= last.level:
            last.handle(record)


_HANDLER = _TailHandler()
_FORMATTER = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s")
_FORMATTER.converter = time.gmtime
_HANDLER.setFormatter(_FORMATTER)
