"""Log lines, as both programs write them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fabric_jobs.runtime.settings import LogFormat
from fabric_jobs.runtime.telemetry import logs, tracing
from fabric_jobs.runtime.telemetry.logs import concerning

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[LogFormat], io.StringIO]]:
    """Configures logging to a text; what it was comes back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def configured(log_format: LogFormat) -> io.StringIO:
        root.handlers.clear()
        written = io.StringIO()
        monkeypatch.setattr("sys.stderr", written)
        logs.configure(log_format)
        return written

    yield configured
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def as_json(writing: Callable[[LogFormat], io.StringIO]) -> Callable[[], dict[str, Any]]:
    """The last line that was logged."""
    written = writing("json")

    def last() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(written.getvalue().splitlines()[-1])
        return found

    return last


def test_a_line_of_json_says_when_how_grave_and_who(as_json: Callable[[], dict[str, Any]]) -> None:
    """Time in UTC, level, logger and the message with its arguments; no id where there is none."""
    logging.getLogger("mine").warning("%d rows", 5)
    line = as_json()

    assert line.pop("ts").endswith("+00:00")
    assert line == {"level": "WARNING", "logger": "mine", "message": "5 rows"}


def test_a_line_of_json_carries_the_ids(as_json: Callable[[], dict[str, Any]]) -> None:
    """Those that were said, and those of the trace."""
    with concerning(job="the job", attempt=None), tracing.continued(TRACE):
        logging.getLogger("mine").info("working")
    line = as_json()

    assert (line["job"], "attempt" in line) == ("the job", False)
    assert line["trace_id"] == TRACE[3:35]
    assert line["span_id"] == TRACE[36:52]


def test_an_exception_is_one_line_with_its_traceback(as_json: Callable[[], dict[str, Any]]) -> None:
    """Many lines of text stay one of the log."""
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
    [(5, 5), (0.5, 0.5), (True, True), (None, None), (float("nan"), "nan"), ({"a": 1}, "{'a': 1}")],
)
def test_what_an_author_adds_is_a_field(
    as_json: Callable[[], dict[str, Any]], value: object, shown: object
) -> None:
    """As a number where JSON has it, else as text."""
    logging.getLogger("mine").info("working", extra={"rows": value})

    assert as_json()["rows"] == shown


def test_what_an_author_adds_hides_no_id(as_json: Callable[[], dict[str, Any]]) -> None:
    """A field that is ours stays ours."""
    with concerning(job="the job"):
        logging.getLogger("mine").info("working", extra={"job": "another", "level": "x"})
    line = as_json()

    assert (line["job"], line["level"]) == ("the job", "INFO")


def test_text_that_is_no_utf8_is_still_a_line(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """A lone surrogate, as in a file's name, is escaped."""
    written = writing("json")  # in the test: pytest's own handlers would report the text as it is
    logging.getLogger("mine").info("no file \udcff")

    assert json.loads(written.getvalue())["message"] == "no file \udcff"


def test_a_line_for_people_ends_with_the_ids(
    writing: Callable[[LogFormat], io.StringIO],
) -> None:
    """Those of the trace, too."""
    written = writing("console")
    with concerning(job="the job"), tracing.continued(TRACE):
        logging.getLogger("mine").info("working")

    ids = f"job=the job trace_id={TRACE[3:35]} span_id={TRACE[36:52]}"
    assert written.getvalue().endswith(f"INFO mine working {ids}\n")
