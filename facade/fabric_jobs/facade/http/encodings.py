"""How a body is encoded: UTF-8, without compression. Says what else it is."""

import re
from collections.abc import Mapping
from typing import Any

from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.headers import header_values

_GZIP = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: One half of a pair of escapes that only together stand for a character.
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


def check_content_encoding(scope: Mapping[str, Any]) -> None:
    """Raises `HttpError` if the request says that its body is compressed."""
    for value in header_values(scope, "content-encoding"):
        if value.strip().lower() not in ("", "identity"):
            raise HttpError(
                Code.UNSUPPORTED_MEDIA_TYPE,
                f"The content encoding {value!r} is not supported. Send the body uncompressed.",
            )


def explain(body: bytes, error: Exception) -> HttpError:
    """The error of a body that could not be decoded."""
    if body.startswith(_GZIP):
        return HttpError(
            Code.UNSUPPORTED_MEDIA_TYPE, "The body is compressed. Send it uncompressed."
        )
    return HttpError(Code.INVALID_REQUEST, _reason(body, error))


def _reason(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "The body is empty. Send a JSON object."
    if body.startswith(_UTF8_MARK):
        return "The body begins with a byte order mark. Send UTF-8 without one."
    if body.startswith(_UTF16_MARKS) or b"\0" in body[:4]:
        return "The body is encoded in UTF-16 or UTF-32. Send UTF-8."
    if isinstance(error, UnicodeDecodeError):
        return f"The body is not valid UTF-8: {error.reason} at byte {error.start} of a text."
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    if lone := _LONE_SURROGATE.search(body):
        return (
            f"The body has an escape that is half of a character, {lone[0].decode()}, "
            f"at byte {lone.start()}."
        )
    return f"The body is not valid: {error}."
