"""Texts of others, made safe to show."""

import json
import time
import traceback

import pytest

from fabric_jobs.runtime import text

HOSTILE = "a\x00b\nc\rd\te\x1b[31mf\x7fg\x85h\x9bi\u2028j\u202ek\u2066l\ud800m\u061c"


def test_escape_leaves_one_line_without_control_characters() -> None:
    """Each becomes its escape. Other characters, also those beyond ASCII, stay."""
    escaped = text.escape(HOSTILE)
    assert escaped.isprintable()
    assert escaped.startswith(
        r"a\x00b\nc\rd\te\x1b[31mf\x7fg\x85h\x9bi\u2028j\u202ek\u2066l\ud800m"
    )
    assert text.escape("Grüße, 日本, 👍, עברית") == "Grüße, 日本, 👍, עברית"


def test_escape_lines_keeps_line_breaks_and_tabs() -> None:
    """As in a traceback."""
    assert text.escape_lines("a\n\tb\x1b\r\n") == "a\n\tb\\x1b\\r\n"


def test_escape_json_is_the_same_json_without_control_characters() -> None:
    """A terminal shows it as it is."""
    value = {"text": HOSTILE.replace("\ud800", "")}
    escaped = text.escape_json(json.dumps(value, ensure_ascii=False))
    assert escaped.isprintable()
    assert json.loads(escaped) == value


def test_one_line_has_spaces_in_place_of_what_can_not_be_printed() -> None:
    """A table's cell."""
    assert text.one_line(" a\n\x1b[31mb\u202e c ") == "a [31mb c"


def test_truncate_says_how_much_was_cut() -> None:
    """A text within the bound stays as it is."""
    assert text.truncate("abc", 3) == "abc"
    assert text.truncate("abcde", 3) == "abc… (2 characters were cut)"
    assert text.truncate_start("abcde", 3) == "(2 characters were cut) …cde"


def raised(error: Exception) -> Exception:
    """The exception with a traceback."""
    try:
        raise error
    except Exception as caught:
        return caught


def chained() -> Exception:
    """An exception with a cause, which came in the handling of another one."""
    try:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904 - the context is what is tested
        except ValueError as error:
            raise RuntimeError("third") from error
    except RuntimeError as error:
        error.add_note("a note")
        return error


@pytest.mark.parametrize("error", [raised(ValueError("x")), raised(OSError()), chained()])
def test_format_exception_equals_python_s_own_text(error: BaseException) -> None:
    """Also for causes and notes."""
    expected = "".join(traceback.format_exception(error))
    assert text.format_exception(error) == expected.rstrip("\n")


def test_format_exception_of_a_group_has_the_members() -> None:
    """A task group raises one."""
    group = raised(ExceptionGroup("two", [raised(ValueError("a")), chained()]))
    shown = text.format_exception(group)
    assert "ExceptionGroup: two (2 sub-exceptions)" in shown
    assert "  +- 1 of 2\n  | Traceback" in shown
    assert "  | ValueError: a" in shown
    assert "  | RuntimeError: third" in shown


class Hostile(Exception):  # noqa: N818 - a badly written exception
    """An exception whose text can't be made."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


def test_format_exception_whose_text_raises_is_described() -> None:
    """Whatever it raises, KeyboardInterrupt included."""
    assert text.format_exception(raised(Hostile())).endswith("Hostile: (its text can't be made)")


def test_format_exception_whose_notes_raise_is_described() -> None:
    """A note's text and the notes themselves are the author's code."""

    class Note:
        def __str__(self) -> str:
            raise ValueError

    class NotesError(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]
            raise ValueError

    noted = Exception("first")
    noted.__notes__ = [Note()]  # type: ignore[list-item]

    assert text.format_exception(noted) == "Exception: first\n(its text can't be made)"
    assert text.format_exception(NotesError("second")).endswith("NotesError: second")


def test_format_exception_with_a_text_of_100_mb_is_short_and_quick() -> None:
    """Python's own formatting would take a minute."""
    error = raised(ValueError("x\n" * 50_000_000))
    began = time.perf_counter()
    shown = text.format_exception(error)
    assert time.perf_counter() - began < 0.25
    assert len(shown) < 2 * text.MAX_EXCEPTION_CHARS


def test_format_exception_of_a_long_chain_and_a_circle_ends() -> None:
    """The causes that are left out are the oldest."""
    first = last = ValueError("0")
    for number in range(1, 100):
        error = ValueError(str(number))
        error.__cause__, last = last, error
    assert text.format_exception(last).count("direct cause") == 9
    first.__cause__ = last
    assert text.format_exception(first).count("direct cause") == 9
