"""GUIDs as Fabric writes them."""

import re
from uuid import UUID

_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def canonical(text: str) -> str:
    """The one spelling of a GUID that is written in any letter case. Raises `ValueError`."""
    if not _FORM.fullmatch(text):
        raise ValueError("not a GUID")
    return text.lower()


def guid(text: str) -> UUID:
    """The GUID in a text, in any letter case. Raises `ValueError`.

    `UUID` alone takes much that is none, such as a sign, a blank or `0x` in place of digits.
    """
    return UUID(canonical(text))
