"""Bounds how deeply JSON is nested, with the same verdict in every program.

A decoder's own bound depends on the stack of its caller, so it differs between programs and even
between two calls. This one is far below it.
"""

import re
from itertools import accumulate

#: The levels of arrays and objects in a creation payload.
MAX_NESTING = 64
#: A text in JSON with its quotes, or the rest of bytes that are no JSON because a quote is missing.
#: It never matches a byte twice, so the time is linear in the size, also for such bytes.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.?+[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_OTHER_BYTES = bytes(set(range(256)) - set(b"[]{}"))
_UNQUOTED_BYTES = bytes(set(_OTHER_BYTES) - set(b'"'))
#: Opening brackets become 1, and closing brackets -1 as signed bytes.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


def is_too_deep(json: bytes, levels: int = MAX_NESTING) -> bool:
    """Whether JSON has more than this many levels of arrays and objects."""
    # A level takes two bytes and a bracket that opens it. Most JSON has fewer of either.
    if len(json) <= 2 * levels or json.count(b"[") + json.count(b"{") <= levels:
        return False
    if b"\\" in json:
        brackets = _TEXT.sub(b"", json).translate(_STEPS, _OTHER_BYTES)
    else:
        # Without escapes, every second part between two quotes is a text.
        parts = json.translate(None, _UNQUOTED_BYTES).split(b'"')
        brackets = b"".join(parts[::2]).translate(_STEPS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > levels
