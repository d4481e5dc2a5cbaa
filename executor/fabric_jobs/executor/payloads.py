"""The types of payloads: decoded by msgspec, or by pydantic if the type is one of its models.

pydantic need not be installed, so it is never imported here: a program with one of its models has
imported it already.
"""

import sys
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from msgspec import inspect

from fabric_jobs.executor.errors import PayloadInvalidError

#: How many errors of pydantic a message names, and the characters that it has of each.
MAX_ERRORS = 10
MAX_ERROR_CHARS = 200
#: What pydantic 2 gives its models and its dataclasses.
_PYDANTIC_MARK = "__pydantic_validator__"


class PayloadType(Protocol):
    """Decodes payloads, and describes them."""

    def decode(self, payload: bytes) -> object:
        """Decodes JSON. Raises `PayloadInvalidError`."""

    def schema(self) -> dict[str, Any]:
        """Returns the JSON Schema of the payload."""


def make_payload_type(payload_type: Any) -> PayloadType:
    """Returns the decoder of a type. Raises `TypeError`, which says what JSON can be decoded to."""
    if hasattr(payload_type, _PYDANTIC_MARK):
        return _PydanticType(payload_type)
    decoder = msgspec.json.Decoder(payload_type)
    info = inspect.type_info(payload_type)
    inner = _inner_types(info)
    for cls in (getattr(one, "cls", None) for one in inner):
        if isinstance(cls, type) and hasattr(cls, _PYDANTIC_MARK):
            raise TypeError(
                f"the pydantic type {cls.__name__} is inside a type that pydantic does not "
                "validate. Make the whole payload a pydantic model"
            )
    for one in inner:
        if isinstance(one, inspect.CustomType) and not _is_json(one.cls):
            raise TypeError(
                f"JSON can't be decoded to {one.cls!r}. Use a msgspec.Struct, a pydantic model "
                "(of pydantic 2), a dataclass, a TypedDict or a built-in type"
            )
    return _MsgspecType(decoder)


def encode_payload(value: object) -> bytes:
    """Encodes a value as JSON, also one of pydantic's. Raises `TypeError` if it is no JSON."""
    return msgspec.json.encode(value, enc_hook=_dump)


def _dump(value: object) -> object:
    if hasattr(value, _PYDANTIC_MARK):
        return _adapter(type(value)).dump_python(value, mode="json")
    raise TypeError(f"{type(value).__name__} is no JSON")


def _adapter(payload_type: Any) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(payload_type)


def explain_invalid(name: str, error: Exception) -> PayloadInvalidError:
    """Returns the error of a payload or a definition that msgspec can't decode."""
    if isinstance(error, RecursionError):
        return PayloadInvalidError(f"The {name} is nested too deeply.")
    # msgspec's message names the path of the wrong value, except the root's path.
    path = "" if " - at `$" in str(error) else " - at `$`"
    return PayloadInvalidError(f"The {name}: {error}{path}.")


class _MsgspecType:
    def __init__(self, decoder: msgspec.json.Decoder[Any]) -> None:
        self._decoder = decoder

    def decode(self, payload: bytes) -> object:
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise explain_invalid("payload", error) from None

    def schema(self) -> dict[str, Any]:
        return msgspec.json.schema(self._decoder.type)


class _PydanticType:
    def __init__(self, payload_type: Any) -> None:
        self._adapter = _adapter(payload_type)
        self._validation_error: type[Any] = sys.modules["pydantic"].ValidationError

    def decode(self, payload: bytes) -> object:
        try:
            return self._adapter.validate_json(payload)
        except self._validation_error as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
            raise PayloadInvalidError(f"The payload: {_describe(errors)}.") from None

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self._adapter.json_schema()
        return schema


def _describe(errors: list[Any]) -> str:
    """Returns pydantic's messages in the form of msgspec's, each with the path of its value."""
    shown = [
        f"{one['msg'][:MAX_ERROR_CHARS]} - at `{_path(one['loc'])[:MAX_ERROR_CHARS]}`"
        for one in errors[:MAX_ERRORS]
    ]
    if len(errors) > MAX_ERRORS:
        shown.append(f"and {len(errors) - MAX_ERRORS} more")
    return "; ".join(shown)


def _path(location: Iterable[int | str]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


def _is_json(cls: type) -> bool:
    """Returns whether a value of JSON can be an instance of a class that msgspec does not know.

    msgspec takes such a value unchanged, as it does for `object`, and refuses every other value.
    """
    values: tuple[object, ...] = (None, True, 1, 1.5, "", [], {})
    try:
        return any(isinstance(value, cls) for value in values)
    except TypeError:  # for example, a `Protocol` that is not `runtime_checkable`
        return False


def _inner_types(info: inspect.Type) -> list[Any]:
    """Returns the types that a type and its fields consist of, each once."""
    left: list[Any] = [info]
    seen: list[Any] = []
    while left:
        one = left.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        for name in getattr(one, "__struct_fields__", ()):
            value = getattr(one, name)
            left += [value] if isinstance(value, inspect.Type | inspect.Field) else []
            left += value if isinstance(value, tuple) else []
    return seen
