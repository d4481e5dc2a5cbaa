"""GUIDs as Fabric writes them: 32 hexadecimal digits, with hyphens, in any letter case."""

import re
from collections.abc import Iterable
from uuid import UUID, uuid5

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: The pattern of a GUID in lower case, in the syntax that JSON Schema and Python share.
CANONICAL_GUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GUID_CHARS = 36
_CANONICAL_GUIDS = re.compile(f"{CANONICAL_GUID}( {CANONICAL_GUID})*")


def are_canonical_guids(texts: Iterable[str]) -> bool:
    """Returns whether each text of at most `GUID_CHARS` characters is a GUID in lower case.

    There must be at least one text. One match of all texts is faster than a match of each.
    """
    return _CANONICAL_GUIDS.fullmatch(" ".join(texts)) is not None


def canonical_guid(text: str) -> str:
    """Returns a GUID in lower case. Raises `ValueError` if the text is not a GUID."""
    if not _GUID.fullmatch(text):
        raise ValueError("not a GUID")
    return text.lower()


def parse_guid(text: str) -> UUID:
    """Returns the GUID that a text spells. Raises `ValueError` if the text is not a GUID.

    `UUID` alone is too lenient: it accepts a sign, a blank or `0x` in place of digits.
    """
    return UUID(canonical_guid(text))


def retry_id(job_id: str) -> str:
    """Returns the id of the new job that retries a job, for the command and the monitor alike.

    The id follows from the old job's id, so a retry that is sent twice starts one job.
    """
    return str(uuid5(parse_guid(job_id), "retry"))
