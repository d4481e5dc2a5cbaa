"""How a page splits a traceback and the last lines of a log."""

import traceback

import msgspec

from fabric_jobs.contract.errors import truncate_traceback
from fabric_jobs.facade.monitor.tracebacks import TAIL_LINES, split_tail, split_traceback


def traceback_of_a_cause() -> str:
    """A traceback with frames of a library, of an exception that was caused by another."""
    try:
        try:
            msgspec.structs.replace(3)  # type: ignore[type-var]
        except TypeError as error:
            raise ValueError("first line\nsecond line") from error
    except ValueError:
        return traceback.format_exc()
    raise AssertionError


def test_split_traceback_begins_with_the_error_that_ended_the_run() -> None:
    """Its causes follow, each with its own frames."""
    last, cause = split_traceback(traceback_of_a_cause())

    assert (last.link, cause.link) == ("", "It was caused by:")
    assert last.error == "ValueError: first line\nsecond line"
    assert cause.error.startswith("TypeError: ")
    assert [group.frames for group in last.groups] == [1]
    assert 'raise ValueError("first line' in last.groups[0].text


def test_split_traceback_has_the_last_call_first_and_groups_library_frames() -> None:
    """The lines of each frame stay together."""
    text = """\
Traceback (most recent call last):
  File "/app/handlers.py", line 3, in nightly
    load()
  File "/app/.venv/lib/python3.13/site-packages/httpx/_api.py", line 1, in get
    send()
    ^^^^^^
  File "/usr/lib/python3.13/ssl.py", line 2, in connect
    raise OSError
OSError: no route
"""
    (raised,) = split_traceback(text)

    assert [(group.is_library, group.frames) for group in raised.groups] == [(True, 2), (False, 1)]
    assert raised.groups[0].text.splitlines()[0].endswith("in connect")
    assert raised.groups[0].text.splitlines()[-1] == "    ^^^^^^"
    assert raised.error == "OSError: no route"


def test_split_traceback_of_a_text_without_its_beginning_keeps_the_error_apart() -> None:
    """An event keeps the end of a long traceback."""
    text = "Traceback (most recent call last):\n" + "".join(
        f'  File "/app/handlers.py", line {number}, in call\n    call()\n' for number in range(900)
    )
    (raised,) = split_traceback(truncate_traceback(f"{text}RecursionError: too deep\n"))

    assert raised.error == "RecursionError: too deep"
    assert "line 899" in raised.groups[0].text.splitlines()[0]


def test_split_traceback_in_another_form_is_shown_as_it_is() -> None:
    """An exception group draws lines before each of its own lines."""
    try:
        raise ExceptionGroup("two", [ValueError(1), TypeError(2)])
    except ExceptionGroup:
        text = traceback.format_exc()
    (raised,) = split_traceback(text)

    assert (raised.error, raised.groups) == (text.rstrip("\n"), ())
    assert split_traceback("") == (("", "", ()),)


def test_split_tail_keeps_the_last_lines_apart() -> None:
    """A short text has no earlier lines."""
    lines = [str(number) for number in range(TAIL_LINES + 2)]

    assert split_tail("\n".join(lines)) == ("0\n1", "\n".join(lines[2:]))
    assert split_tail("one\n") == ("", "one")
