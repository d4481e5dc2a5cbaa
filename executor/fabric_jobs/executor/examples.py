"""Makes an example of a handler's payload from the JSON Schema of its type.

The example is of the handler's own type: it is decoded before it is returned. There is none if the
schema says too little, for instance because code checks a value.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from fabric_jobs.executor.errors import PayloadInvalidError
from fabric_jobs.executor.payloads import PayloadType

#: The bytes of the longest example: it is shown in a command line.
MAX_BYTES = 2048
#: How many objects and arrays may lie in each other. A type may contain itself.
MAX_DEPTH = 8

_FORMATS = {
    "decimal": "1.0",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipv4network": "192.0.2.0/24",
    "ipv6network": "2001:db8::/32",
    "ipvanyaddress": "192.0.2.1",
    "binary": "",
    "path": "folder/file",
    "file-path": "file",
    "directory-path": "folder",
    "json-string": "{}",
}
#: What is tried in place of a text that is wrong, one after the other.
_TIMES = ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "12:00:00Z", "12:00:00")
#: How many wrong texts an example may have.
MAX_TIMES = 10
#: Texts that match the patterns that payloads often have.
_TEXTS = ("text", "Text", "TEXT", "a", "A", "1", "1.0", "a1", "A1", "a-1", "A-1", "")


class NoExampleError(Exception):
    """The schema has a part of which no example can be made."""


def make_example(payload_type: PayloadType) -> bytes | None:
    """Returns an example as a JSON object, or `None` if none can be made."""
    for shows_optional in (True, False):
        with suppress(Exception):  # also that of a validator; then there is no such example
            schema = payload_type.schema()
            maker = _Maker(schema.get("$defs", {}), shows_optional=shows_optional)
            example = _correct_times(payload_type, maker.make(schema, 0))
            if len(example) <= MAX_BYTES and example.startswith(b"{"):
                return msgspec.json.format(example, indent=0)
    return None


def _correct_times(payload_type: PayloadType, value: Any) -> bytes:
    """Returns the value as JSON that the type takes, with times in place of wrong texts.

    msgspec's schema describes a time as a text. Raises `PayloadInvalidError`.
    """
    for time in _TIMES * MAX_TIMES:
        example = msgspec.json.encode(value)
        try:
            payload_type.decode(example)
        except PayloadInvalidError as error:
            path = re.findall(r"[\w-]+", str(error).rpartition(" - at `$")[2])
            holder = value
            for step in path[:-1]:
                holder = holder[int(step) if isinstance(holder, list) else step]
            last = int(path[-1]) if isinstance(holder, list) else path[-1]
            if not isinstance(holder[last], str):
                raise
            holder[last] = time
        else:
            return example
    raise NoExampleError


class _Maker:
    """Makes the smallest value of a schema, with the optional scalars that have a default."""

    def __init__(self, definitions: dict[str, Any], *, shows_optional: bool) -> None:
        self._definitions = definitions
        self._shows_optional = shows_optional

    def make(self, schema: Any, depth: int) -> Any:
        """Raises `NoExampleError`."""
        if depth > MAX_DEPTH:
            raise NoExampleError
        if not isinstance(schema, dict):
            return {}
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("examples"):
            return schema["examples"][0]
        if schema.get("default") is not None:
            return schema["default"]
        if schema.get("enum"):
            return schema["enum"][0]
        for name in ("anyOf", "oneOf"):
            if name in schema:
                return self._make_one(schema[name], depth)
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return self._make_one([schema | {"type": kind} for kind in kinds], depth, _MAKERS)

    def _make_one(
        self, schemas: list[Any], depth: int, makers: dict[Any, Callable[..., Any]] | None = None
    ) -> Any:
        """Makes a value of the first schema that has one; null is the last choice."""
        for schema in sorted(schemas, key=lambda one: self._resolve(one).get("type") == "null"):
            try:
                if makers is None:
                    return self.make(schema, depth)
                if make := makers.get(schema["type"]):
                    return make(self, schema, depth)
            except NoExampleError:
                continue
        raise NoExampleError

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(MAX_DEPTH):
            if "$ref" not in schema:
                break
            named = self._definitions.get(schema["$ref"].rpartition("/")[2])
            if named is None:
                raise NoExampleError
            schema = {**named, **{key: schema[key] for key in schema if key != "$ref"}}
        if len(schema.get("allOf", ())) == 1:
            return self._resolve({**schema["allOf"][0], **schema, "allOf": []})
        return schema

    def _object(self, schema: dict[str, Any], depth: int) -> Any:
        required = schema.get("required", [])
        made = {}
        for name, inner in schema.get("properties", {}).items():
            default = self._resolve(inner).get("default") if isinstance(inner, dict) else None
            shown = self._shows_optional and isinstance(default, str | int | float)
            if name in required or shown:
                made[name] = self.make(inner, depth + 1)
        for number in range(len(made), schema.get("minProperties", 0)):
            made[f"key{number}"] = self.make(schema.get("additionalProperties", {}), depth + 1)
        return made

    def _array(self, schema: dict[str, Any], depth: int) -> Any:
        first = [self.make(inner, depth + 1) for inner in schema.get("prefixItems", ())]
        more = schema.get("minItems", 0) - len(first)
        rest = [self.make(schema.get("items", {}), depth + 1)] * more if more > 0 else []
        if schema.get("uniqueItems") and len(rest) > 1:
            raise NoExampleError
        return [*first, *rest]

    def _string(self, schema: dict[str, Any], depth: int) -> Any:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if schema.get("contentEncoding") == "base64":
            return "AAAA" * math.ceil(least / 3)
        if (found := _FORMATS.get(schema.get("format", ""))) is not None:
            return found
        for text in self._texts(least):
            if least <= len(text) <= most and re.search(schema.get("pattern", ""), text):
                return text
        raise NoExampleError

    def _texts(self, least: int) -> Iterator[str]:
        for text in _TEXTS:
            yield text
            # As long as the shortest text, by its first character and by its last one.
            yield text[:1] * least
            yield text + text[-1:] * (least - len(text))
        for count in range(1, 41):
            yield from (letter * count for letter in ("a", "A", "1"))

    def _number(self, schema: dict[str, Any], depth: int) -> float:
        step = schema.get("multipleOf", 1 if schema["type"] == "integer" else 0)
        least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        candidates = [1, 0, least, most, least + 1, most - 1, (least + most) / 2]
        if step:
            near = [one for one in (1, least, most) if math.isfinite(one)]
            candidates = [
                (count + more) * step
                for one in near
                for count in (one // step,)
                for more in (0, 1, -1)
            ]
        for one in candidates:
            if math.isfinite(one) and _is_within(one, schema):
                return int(one) if schema["type"] == "integer" or one == int(one) else one
        raise NoExampleError


def _is_within(value: float, schema: dict[str, Any]) -> bool:
    return bool(
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
        and value < schema.get("exclusiveMaximum", value + 1)
    )


_MAKERS: dict[Any, Callable[[_Maker, dict[str, Any], int], Any]] = {
    "object": _Maker._object,
    "array": _Maker._array,
    "string": _Maker._string,
    "integer": _Maker._number,
    "number": _Maker._number,
    "boolean": lambda *_: False,
    "null": lambda *_: None,
    None: lambda *_: {},
}
