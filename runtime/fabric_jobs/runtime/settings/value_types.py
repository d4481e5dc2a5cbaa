"""What a setting may be: read from text, and told of in errors and in docs/settings.md.

It follows from the field's type. A `Meta` adds what the type can't say: `title` for the words,
`examples`, and in `extra` a `check` that is called with the value and raises `ValueError`.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import inspect

from fabric_jobs.runtime.settings.secrets import Secret

_SEVERAL = ", or several separated by commas"


def read(kind: Any, text: str) -> Any:
    """The value that a text gives. Raises `ValueError`."""
    info = inspect.type_info(kind)
    listed = isinstance(info, inspect.VarTupleType)
    words = [word.strip() for word in text.split(",")] if listed else text
    value = msgspec.convert(words, kind, strict=False, dec_hook=_built)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no number to reckon with")
    check = _check(info)
    for one in value if listed else [value]:
        check(one)
    return value


def write(value: Any) -> str:
    """The text that gives the value; empty for none."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
    return str(value)


def example(kind: Any) -> str | None:
    """A text that would do, if the kind has one."""
    info = inspect.type_info(kind)
    if isinstance(info, inspect.VarTupleType):
        info = info.item_type
    examples = _schema(info).get("examples")
    return str(examples[0]) if examples else None


def words(kind: Any) -> str:
    """What is wanted, such as `a whole number from 1 to 10`."""
    return _words(inspect.type_info(kind))


def _words(info: inspect.Type) -> str:
    if title := _schema(info).get("title"):
        return str(title)
    match info:
        case inspect.Metadata(type=inner):
            return _words(inner)
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _words(inner)
        case inspect.VarTupleType(item_type=item):
            return _words(item) + _SEVERAL
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _bounds(info)
        case inspect.FloatType():
            return "a number" + _bounds(info)
        case inspect.EnumType(cls=cls):
            return _choice([str(member.value) for member in cls])
        case inspect.LiteralType(values=values):
            return _choice([str(value) for value in values])
        case inspect.CustomType(cls=cls) if cls is Path:
            return "a path"
        case inspect.StrType():
            return "a text"
        case inspect.CustomType(cls=cls) if cls is Secret:
            return "a text"
    raise TypeError(f"no words for {info}")


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    if info.ge is not None:
        return f" of {info.ge} or more"
    return "" if info.gt is None else f" above {info.gt}"


def _choice(texts: list[str]) -> str:
    return " or ".join(texts) if len(texts) == 2 else f"one of {', '.join(texts)}"


def _schema(info: inspect.Type) -> dict[str, Any]:
    return (info.extra_json_schema or {}) if isinstance(info, inspect.Metadata) else {}


def _check(info: inspect.Type) -> Callable[[Any], object]:
    """What each value must pass."""
    match info:
        case inspect.Metadata(extra={"check": check}):
            return cast(Callable[[Any], object], check)
        case inspect.Metadata(type=inner):
            return _check(inner)
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _check(inner)
        case inspect.VarTupleType(item_type=item):
            return _check(item)
    return lambda value: value


def _built(kind: type, text: Any) -> Any:
    """A value of a type that msgspec leaves to us, such as a path."""
    return kind(text)
