"""The log lines of all programs."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fabric_jobs.runtime.settings import LogFormat, LogLevel
from fabric_jobs.runtime.telemetry import logs, tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., io.StringIO]]:
    """Returns a function that configures logging to a text. Restores logging afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    libraries = {logging.getLogger(name): logging.getLogger(name).level for name in logs.LIBRARIES}
    for library in libraries:
        library.setLevel(logging.NOTSET)

    def configured(log_format: LogFormat, level: LogLevel = "info") -> io.StringIO:
        root.handlers.clear()
        written = io.StringIO()
        monkeypatch.setattr("sys.stderr", written)
        logs.configure(log_format, level)
        return written

    yield configured
    root.handlers[:] = before
    root.setLevel(level)
    for library, before_level in libraries.items():
        library.setLevel(before_level)


@pytest.fixture
def as_json(writing: Callable[[LogFormat], io.StringIO]) -> Callable[[], dict[str, Any]]:
    """Returns a function that returns the last logged line, decoded."""
    written = writing("json")

    def last() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(written.getvalue().splitlines()[-1])
        return found

    return last


def test_json_line_has_time_level_logger_and_message(
    as_json: Callable[[], dict[str, Any]],
) -> None:
    """The time is in UTC. Without bound ids, the line has no others."""
    logging.getLogger("mine").warning("%d rows", 5)
    line = as_json()

    assert line.pop("ts").endswith("+00:00")
    assert line == {"level": "WARNING", "logger": "mine", "message": "5 rows"}


def test_json_line_has_the_bound_ids_and_those_of_the_trace(
    as_json: Callable[[], dict[str, Any]],
) -> None:
    """An id without a value is left out."""
    with bind_ids(job="the job", attempt=None), tracing.continue_trace(TRACE):
        logging.getLogger("mine").info("working")
    line = as_json()

    assert (line["job"], "attempt" in line) == ("the job", False)
    assert line["trace_id"] == TRACE[3:35]
    assert line["span_id"] == TRACE[36:52]


def test_json_line_of_an_exception_has_its_traceback(
    as_json: Callable[[], dict[str, Any]],
) -> None:
    """The traceback does not break the line."""
    try:
        raise ValueError("no such region")
    except ValueError:
        logging.getLogger("mine").exception("failed", stack_info=True)
    line = as_json()

    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: no such region")
    assert line["stack"].startswith("Stack")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, 5),
        (0.5, 0.5),
        (True, True),
        (None, None),
        (float("nan"), "nan"),
        ({"a": 1}, "{'a': 1}"),
        (-(2**63), -(2**63)),
        (2**64, "18446744073709551616"),
        pytest.param(10**5000, "(its text can't be made)", id="longest"),
    ],
)
def test_json_line_with_extra_has_it_as_a_field(
    as_json: Callable[[], dict[str, Any]], value: object, shown: object
) -> None:
    """A value that JSON does not support becomes a text."""
    logging.getLogger("mine").info("working", extra={"rows": value})

    assert as_json()["rows"] == shown


def test_json_line_with_extra_of_a_standard_name_keeps_the_standard_value(
    as_json: Callable[[], dict[str, Any]],
) -> None:
    """A caller cannot overwrite an id or the level."""
    with bind_ids(job="the job"):
        logging.getLogger("mine").info("working", extra={"job": "another", "level": "x"})
    line = as_json()

    assert (line["job"], line["level"]) == ("the job", "INFO")


def test_json_line_with_a_lone_surrogate_escapes_it(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """A file name can contain lone surrogates, which UTF-8 cannot encode."""
    written = writing("json")  # here, because pytest's own handlers fail on the text
    logging.getLogger("mine").info("no file \udcff")

    assert json.loads(written.getvalue())["message"] == "no file \udcff"


def test_console_line_ends_with_the_bound_ids_and_those_of_the_trace(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """Each id is shown as NAME=VALUE; a value with a space is quoted."""
    written = writing("console")
    with bind_ids(job="the job"), tracing.continue_trace(TRACE):
        logging.getLogger("mine").info("working")

    ids = f'job="the job" trace_id={TRACE[3:35]} span_id={TRACE[36:52]}'
    assert written.getvalue().endswith(f"INFO mine working {ids}\n")


def test_brief_line_has_no_ids_of_requests_and_traces(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """A developer at a terminal sees few requests at a time. The job's own ids stay."""
    written = writing("brief")
    ids = {"ActivityId": "a", "RequestId": "r"}
    with bind_ids(job="the job", attempt="2", **ids), tracing.continue_trace(TRACE):
        logging.getLogger("mine").info("working")

    assert written.getvalue().endswith('INFO mine working job="the job" attempt=2\n')


HOSTILE = "x\n2026-01-01 INFO forged\x1b[31m\x85\x9b\u202e\x7f\x00"


def test_console_line_with_hostile_texts_is_one_line_without_control_characters(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """In the message, in an id, and in a library's lines as well."""
    written = writing("console")
    with bind_ids(ActivityId=f"{HOSTILE} job=1"):
        logging.getLogger("a.library").warning("path %s", HOSTILE)
    (line,) = written.getvalue().splitlines()

    assert line.isprintable()
    assert r"path x\n2026-01-01 INFO forged\x1b[31m\x85\x9b\u202e\x7f\x00 ActivityId=" in line
    assert ' ActivityId="x' in line
    assert line.endswith(' job=1"')


def test_console_traceback_of_a_hostile_exception_is_indented(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """No line of it looks like a further line of the log."""
    written = writing("console")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("mine").exception("failed")
    first, *rest = written.getvalue().splitlines()

    assert first.endswith("failed")
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert r"  2026-01-01 INFO forged\x1b[31m\x85\x9b\u202e\x7f\x00" in rest


def test_json_line_with_hostile_texts_is_printable(
    as_json: Callable[[], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Their values are kept."""
    logging.getLogger("mine").warning("%s", HOSTILE, extra={"more": HOSTILE})
    line = as_json()

    assert line["message"] == line["more"] == HOSTILE
    assert json.dumps(line).replace("\x7f", "").isprintable()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_line_with_a_huge_message_and_exception_is_bounded(
    writing: Callable[[LogFormat], io.StringIO], log_format: LogFormat
) -> None:
    """A handler's exception of any size leaves room on the disk."""
    written = writing(log_format)
    try:
        raise ValueError("x\n" * 1_000_000)
    except ValueError as error:
        logging.getLogger("mine").warning("%s", error, exc_info=True, extra={"more": "y" * 10**6})

    assert len(written.getvalue()) < 100_000


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_line_whose_message_can_not_be_formatted_is_logged(
    writing: Callable[[LogFormat], io.StringIO], log_format: LogFormat
) -> None:
    """A wrong call of the logger loses nothing but the arguments."""
    written = writing(log_format)
    logging.getLogger("mine").warning("%d rows", "no number")

    assert "'%d rows' can't be formatted: TypeError" in written.getvalue()


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("debug", ["debug", "info", "error", "library"]),
        ("info", ["info", "error"]),
        ("error", ["error"]),
    ],
)
def test_log_level_bounds_what_is_logged(
    writing: Callable[..., io.StringIO], level: str, logged: list[str]
) -> None:
    """Only `debug` shows the steps that libraries log."""
    written = writing("console", level)
    own, library = logging.getLogger("mine"), logging.getLogger("aiokafka")
    own.debug("debug")
    own.info("info")
    own.error("error")
    library.info("library")

    assert [line.split()[-1] for line in written.getvalue().splitlines()] == logged


def test_line_with_a_stack_that_is_a_text_has_it_below_or_as_a_field(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """It is the stack of another thread, or the traceback of another process."""
    written = writing("console")
    logs.warn_with_stack(logging.getLogger("mine"), "the stack\nof a thread", "%s hangs", "it")
    forwarded = logging.makeLogRecord(
        {"name": "mine", "msg": "failed", "exc_text": "ValueError", "levelno": logging.WARNING}
    )
    logging.getLogger("mine").handle(forwarded)
    lines = written.getvalue().splitlines()
    as_json = writing("json")
    logs.warn_with_stack(logging.getLogger("mine"), "the stack", "%s hangs", "it")
    logging.getLogger("mine").handle(forwarded)
    first, second = map(json.loads, as_json.getvalue().splitlines())

    assert lines[0].endswith("WARNING mine it hangs")
    assert lines[1:3] == ["  the stack", "  of a thread"]
    assert lines[3].endswith("mine failed")
    assert lines[4] == "  ValueError"
    assert (first["message"], first["stack"]) == ("it hangs", "the stack")
    assert second["exception"] == "ValueError"
