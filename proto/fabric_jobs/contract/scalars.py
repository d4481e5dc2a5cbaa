"""The types of single values in the contract, with their bounds."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from fabric_jobs.contract.guids import CANONICAL_GUID, GUID_CHARS

#: The bound of a sealed text, except for a payload and a definition. A plain text of
#: `MAX_ERROR_BYTES` fits, although base64 makes it a third longer.
MAX_SEALED_CHARS = 24 * 1024
#: The bound of a sealed payload or definition: no record of Kafka is larger.
MAX_SEALED_CONTENT_CHARS = 2**30
#: The bound of an id, such as an executor's, and of a name, such as a job type.
MAX_NAME_CHARS = 128
#: The bound of attempts, failures and slots: the largest number that 32 bits hold with a sign.
MAX_COUNT = 2**31 - 1
#: The first time that an event or a heartbeat may carry, and the time that all of them are before.
MIN_TIME = datetime(2000, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)

#: A time with its zone; RFC 3339 on the wire. msgspec can't bound a time: `decode` does.
Timestamp = Annotated[
    datetime, Meta(tz=True, description="A time from the year 2000 to the year 2199.")
]
#: A number of something, from 0.
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
#: The number of an attempt, from 1.
AttemptNumber = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
#: An id or a name, which is not empty.
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
#: An id or a text of a request, which may be empty.
ShortText = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
#: A GUID in lower case with hyphens. `decode` verifies the GUIDs of a record at once, because that
#: takes a fifth of the time that msgspec needs for a pattern on each.
Guid = Annotated[
    str, Meta(max_length=GUID_CHARS, extra_json_schema={"pattern": f"^{CANONICAL_GUID}$"})
]
#: A secret that a facade has sealed: `1:KEY_ID:BASE64`. Only facades can open it.
SealedText = Annotated[str, Meta(max_length=MAX_SEALED_CHARS)]
#: A sealed payload or definition.
SealedContent = Annotated[str, Meta(max_length=MAX_SEALED_CONTENT_CHARS)]
