"""An error in Fabric's terms, and what is kept of the attempt that failed.

"WDK" in a docstring names the type of Fabric's Workload Development Kit.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from fabric_jobs.contract.scalars import SealedText

#: The bounds of an error: the characters of a message, of a code and of a value that a message
#: names, the entries of each list, and the bytes of the whole as JSON.
MAX_MESSAGE_CHARS = 2048
MAX_CODE_CHARS = 128
MAX_PARAMETER_CHARS = 1024
MAX_LIST_ITEMS = 16
MAX_ERROR_BYTES = 16 * 1024
#: The bound of a traceback as a JSON text.
MAX_TRACEBACK_BYTES = 8 * 1024
#: The bound of the last log lines of a failed attempt as a JSON text.
MAX_LOG_TAIL_BYTES = 8 * 1024

#: The code of an attempt's error whose author chose no other one.
HANDLER_ERROR = "HandlerError"

#: The code of an error.
_Code = Annotated[str, Meta(max_length=MAX_CODE_CHARS)]
#: The message of an error.
_Message = Annotated[str, Meta(max_length=MAX_MESSAGE_CHARS)]
#: A value that the message of an error names.
_Parameter = Annotated[str, Meta(max_length=MAX_PARAMETER_CHARS)]
#: Values that the message of an error names.
_Parameters = Annotated[tuple[_Parameter, ...], Meta(max_length=MAX_LIST_ITEMS)]


class ErrorSource(StrEnum):
    """Who caused an error (WDK `ErrorSource`).

    It never gets more members, because Fabric knows these three only, and an older replica cannot
    fold an unknown one.
    """

    SYSTEM = "System"
    USER = "User"
    EXTERNAL = "External"


class NameValuePair(Struct, frozen=True, rename="camel"):
    """A named value in the details of an error (WDK `NameValuePair`)."""

    name: _Parameter
    value: _Parameter


class ErrorExtendedInformation(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A further error in the details of an error (WDK `ErrorExtendedInformation`)."""

    #: A stable name of the kind of error.
    error_code: _Code
    #: What happened, for people.
    message: _Message
    #: Values that the message names.
    message_parameters: _Parameters = ()
    #: Named values, such as the number of the attempt that failed.
    additional_parameters: Annotated[
        tuple[NameValuePair, ...], Meta(max_length=MAX_LIST_ITEMS)
    ] = ()
    #: The message and the values, if they are sealed. Then `message` is empty.
    sealed: SealedText | None = None

    def truncate(self) -> "ErrorExtendedInformation":
        """Returns the error with each text and list cut to its bound."""
        return ErrorExtendedInformation(
            error_code=self.error_code[:MAX_CODE_CHARS],
            message=self.message[:MAX_MESSAGE_CHARS],
            message_parameters=_truncate_all(self.message_parameters),
            additional_parameters=tuple(
                NameValuePair(pair.name[:MAX_PARAMETER_CHARS], pair.value[:MAX_PARAMETER_CHARS])
                for pair in self.additional_parameters[:MAX_LIST_ITEMS]
            ),
            sealed=self.sealed,
        )


class ErrorResponse(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An error (WDK `ErrorResponse`): of a job, or the body of an HTTP error."""

    #: A stable name of the kind of error, at most 128 characters in an event.
    error_code: _Code
    #: What happened and what to do, for people; at most 2,048 characters in an event.
    message: _Message
    #: Who caused the error.
    source: ErrorSource
    #: Whether another try can't succeed.
    is_permanent: bool | None = None
    #: Values that the message names, at most 16 in an event.
    message_parameters: _Parameters = ()
    #: Further errors, such as those of earlier attempts; at most 16 in an event.
    more_details: Annotated[
        tuple[ErrorExtendedInformation, ...], Meta(max_length=MAX_LIST_ITEMS)
    ] = ()
    #: The message and the values that it names, if they are sealed. Then `message` is empty. Each
    #: further error has a sealed text of its own. No answer to Fabric has this field.
    sealed: SealedText | None = None

    def truncate(self) -> "ErrorResponse":
        """Returns the error cut to its bounds: first the texts and lists, then the last details."""
        error = replace(
            self,
            error_code=self.error_code[:MAX_CODE_CHARS],
            message=self.message[:MAX_MESSAGE_CHARS],
            message_parameters=_truncate_all(self.message_parameters),
            more_details=tuple(one.truncate() for one in self.more_details[:MAX_LIST_ITEMS]),
        )
        while len(msgspec.json.encode(error)) > MAX_ERROR_BYTES:
            if error.more_details:
                error = replace(error, more_details=error.more_details[:-1])
            else:
                error = replace(error, message_parameters=error.message_parameters[:-1])
        return error


def _truncate_all(parameters: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an error's message, cut to their bounds."""
    return tuple(one[:MAX_PARAMETER_CHARS] for one in parameters[:MAX_LIST_ITEMS])


def truncate_traceback(text: str) -> str:
    """Returns the end of a traceback, at most `MAX_TRACEBACK_BYTES` as a JSON text.

    The end is kept, because it names the exception.
    """
    return truncate_to_end(text, MAX_TRACEBACK_BYTES)


def truncate_to_end(text: str, max_bytes: int) -> str:
    """Returns the end of a text, at most this many bytes as a JSON text."""
    text = text[-max_bytes:]
    while (excess := len(msgspec.json.encode(text)) - max_bytes) > 0:
        # A character takes at most 6 bytes in JSON.
        text = text[excess // 6 + 1 :]
    return text
