"""Reads whole numbers from texts that anybody may have written."""

import re

#: Numbers with at most 18 digits fit 64 bits. Python refuses to convert more than 4,300 digits.
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")


def parse_whole_number(text: str) -> int | None:
    """Returns the number that 1 to 18 ASCII digits spell, or None for any other text."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None
