"""Makes texts of others safe to show: in a log line, on a terminal, in a line of JSON.

A control character can forge a line or colour it, and a bidirectional control can reverse what a
reader sees. A long text can fill a disk. The author of an exception wrote the code that makes its
text, and that code may raise.
"""

import re
import traceback
from collections.abc import Iterator

#: The characters that are kept of a line, and of a traceback.
MAX_LINE_CHARS = 16 * 1024
MAX_TRACEBACK_CHARS = 64 * 1024
#: The characters that are kept of the text of an exception.
MAX_EXCEPTION_CHARS = 4096
#: The exceptions that are shown of a chain of causes, and of a group.
_MAX_LINKED = 10
#: Control characters (C0, delete, C1), line and paragraph separators, bidirectional controls, and
#: surrogates, which can't be encoded.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


def escape(text: str) -> str:
    """Returns the text on one line; each unsafe character becomes its escape, such as `\\x1b`."""
    return _UNSAFE.sub(_escape_character, text)


def escape_lines(text: str) -> str:
    """Returns the text with its line breaks and tabs; other unsafe characters are escaped."""
    return "\n".join(escape(line).replace("\\t", "\t") for line in text.split("\n"))


def escape_json(json: str) -> str:
    """Returns valid JSON in which unsafe characters of texts are JSON's own escapes."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def one_line(text: str) -> str:
    """Returns the text on one line, with a space in place of what can't be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def truncate(text: str, most: int = MAX_LINE_CHARS) -> str:
    """Returns the text, cut to its first `most` characters, and how many were cut."""
    cut = len(text) - most
    return text if cut <= 0 else f"{text[:most]}… ({cut} characters were cut)"


def truncate_start(text: str, most: int = MAX_TRACEBACK_CHARS) -> str:
    """Returns a traceback, cut to its last `most` characters, which say what happened."""
    cut = len(text) - most
    return text if cut <= 0 else f"({cut} characters were cut) …{text[cut:]}"


def text_of(value: object) -> str:
    """Returns the value's text; never raises, whatever the author of the value's type wrote."""
    try:
        return str(value)
    except BaseException:
        return "(its text can't be made)"


def exception_text(raised: BaseException) -> str:
    """Returns the exception's text, cut; never raises."""
    return truncate(text_of(raised), MAX_EXCEPTION_CHARS)


def describe_exception(raised: BaseException) -> str:
    """Returns the last line of the exception's traceback, cut."""
    kind = type(raised)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    text = exception_text(raised)
    return f"{name}: {text}" if text else name


def format_exception(raised: BaseException) -> str:
    """Returns the traceback as Python prints it, with its causes and members; each text is cut.

    `traceback.format_exception` blocks the process for a minute if a text has 200 MB.
    """
    return "\n".join(_lines(raised, depth=0))


def _lines(raised: BaseException, depth: int) -> Iterator[str]:
    chain = list(_chain(raised))
    for place, (error, reason) in enumerate(reversed(chain)):
        if error.__traceback__:
            yield "Traceback (most recent call last):"
            yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
        yield describe_exception(error)
        yield from (text_of(note)[:MAX_EXCEPTION_CHARS] for note in _notes(error))
        if isinstance(error, BaseExceptionGroup) and depth < _MAX_LINKED:
            for number, member in enumerate(error.exceptions[:_MAX_LINKED], 1):
                yield f"  +- {number} of {len(error.exceptions)}"
                for part in _lines(member, depth + 1):
                    yield from (f"  | {line}" for line in part.split("\n"))
        if place < len(chain) - 1:
            yield f"\n{reason}\n"


def _chain(raised: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The exception and its causes, each with the sentence that links it to the one before."""
    seen = set[int]()
    error: BaseException | None = raised
    reason = ""
    while error and id(error) not in seen and len(seen) < _MAX_LINKED:
        seen.add(id(error))
        yield error, reason
        if error.__cause__:
            error, reason = error.__cause__, _CAUSE
        else:
            error = None if error.__suppress_context__ else error.__context__
            reason = _CONTEXT


def _notes(error: BaseException) -> list[object]:
    try:
        notes = getattr(error, "__notes__", None)
    except BaseException:  # a property may be the author's code
        return []
    return notes[:_MAX_LINKED] if isinstance(notes, list) else []


def _escape_character(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(found[0]) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
