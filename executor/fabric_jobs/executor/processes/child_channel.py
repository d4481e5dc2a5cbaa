"""The child's end of the channel to its executor, and what goes through it."""

import logging
import os
import threading
import traceback
from typing import Any, BinaryIO

from fabric_jobs.executor.processes.current_call import current_call
from fabric_jobs.executor.processes.messages import (
    LENGTH,
    FromProcess,
    Logged,
    ToProcess,
    frame,
    to_process_decoder,
)
from fabric_jobs.runtime.telemetry.logs import message_of, plain_value
from fabric_jobs.runtime.text import text_of, truncate_start

#: Seconds between two messages with progress, and between two with checkpoints. Only the latest
#: one is sent.
INTERVAL_S = 0.2


class Channel:
    """Sends and receives messages. Any thread may send."""

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self._read = read
        self._write = write
        self._lock = threading.Lock()
        self._process_id = os.getpid()
        if hasattr(os, "register_at_fork"):
            # A process that a handler forks must not keep the channel open.
            os.register_at_fork(after_in_child=self._close)

    @classmethod
    def from_standard_streams(cls) -> "Channel":
        """Takes standard input and output away from the handlers, which might use them."""
        read, write = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(read, write)

    @property
    def is_inherited(self) -> bool:
        """True in a process that a handler forked. It sends nothing.

        Its channel is closed, so the numbers of the channel's files may be those of its own files.
        """
        return os.getpid() != self._process_id

    def send(self, message: FromProcess) -> None:
        """Sends a message. Does nothing if the executor has died, or in a forked process."""
        if self.is_inherited:
            return
        data = memoryview(frame(message))
        with self._lock:
            try:
                while data:
                    data = data[self._write.write(data) :]
            except OSError:
                return

    def _close(self) -> None:
        # By the system's call: the objects' locks may be held by threads that a fork does not copy.
        os.close(self._read.fileno())
        os.close(self._write.fileno())

    def receive(self) -> ToProcess | None:
        """Waits for the next message. Returns `None` when the executor has closed the channel."""
        header = self._read.read(LENGTH.size)
        if len(header) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(header)
        return to_process_decoder.decode(self._read.read(length))


class LatestForwarder:
    """Sends what a handler reports while it runs: the latest message, at an interval."""

    def __init__(self, channel: Channel, *, sends_all: bool) -> None:
        """`sends_all` lets it send every message at once."""
        self._channel = channel
        self._sends_all = sends_all
        self._lock = threading.Lock()
        self._latest: FromProcess | None = None
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def put(self, message: FromProcess) -> None:
        """Takes a message from any thread. Drops it after the handler's end, and in a fork."""
        if self._channel.is_inherited:
            return  # another thread may have held the lock when the process was forked
        with self._lock:
            if self._is_closed:
                return
            self._latest = message
            if self._sends_all:
                self._send_latest()
            elif self._timer is None:
                self._send_latest()
                self._start_timer()

    def close(self) -> None:
        """Sends the latest message now, and nothing later."""
        with self._lock:
            self._is_closed = True
            if self._timer:
                self._timer.cancel()
            self._send_latest()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(INTERVAL_S, self._on_interval)
        self._timer.daemon = True
        self._timer.start()

    def _on_interval(self) -> None:
        with self._lock:
            if self._latest is None or self._is_closed:
                self._timer = None
            else:
                self._send_latest()
                self._start_timer()

    def _send_latest(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._channel.send(latest)


class ForwardingHandler(logging.Handler):
    """Sends every log record to the executor, which logs a line of the job with the job's ids."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def install(self, level: int) -> None:
        """Makes this handler the only one of the root logger."""
        logging.basicConfig(level=level, handlers=[self], force=True)

    def take_root(self) -> None:
        """Makes this handler the only one of the root logger again, if it was removed from it.

        A module of handlers may have configured logging when it was imported. The level stays, and
        so do handlers that were only added, such as those of an exporter of logs.
        """
        if self not in logging.root.handlers:
            logging.root.handlers[:] = [self]

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record."""
        if self._channel.is_inherited:
            if logging.lastResort:
                logging.lastResort.handle(record)
            return
        try:
            self._channel.send(Logged(call=current_call(), attributes=_attributes(record)))
        except Exception:
            self.handleError(record)


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    """Returns the record's attributes as plain values."""
    attributes = vars(record) | {"msg": message_of(record), "args": None, "exc_info": None}
    if record.exc_info and not record.exc_text:
        attributes["exc_text"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return {_encodable(text_of(name)): _plain(value) for name, value in attributes.items()}


def _plain(value: object) -> object:
    value = plain_value(value)
    # The executor cuts each text of a line, too, but the channel must not carry what it cuts.
    return _encodable(truncate_start(value)) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    """Returns the text with escapes such as `\\udce9` in place of lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()
