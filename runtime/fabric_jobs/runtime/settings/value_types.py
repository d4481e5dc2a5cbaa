"""The types of settings: how a value is read from text, and how errors and the docs describe it.

The field's type decides. A `Meta` annotation adds what the type cannot express: `title` (the
description), `examples`, and in `extra` a function `check` that raises `ValueError` for a bad
value.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import inspect

from fabric_jobs.runtime.settings.secrets import Secret

_OR_SEVERAL = ", or several separated by commas"


def read(kind: Any, text: str) -> Any:
    """Returns the value of type `kind` that a text spells. Raises `ValueError`."""
    info = inspect.type_info(kind)
    is_list = isinstance(info, inspect.VarTupleType)
    words = [word.strip() for word in text.split(",")] if is_list else text
    value = msgspec.convert(words, kind, strict=False, dec_hook=_construct)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the number is not finite")
    check = _check_of(info)
    for one in value if is_list else [value]:
        check(one)
    return value


def write(value: Any) -> str:
    """Returns the text that spells the value; an empty text for None."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
    return str(value)


def example(kind: Any) -> str | None:
    """Returns the text of a valid value, or None if the type declares no example."""
    info = inspect.type_info(kind)
    if isinstance(info, inspect.VarTupleType):
        info = info.item_type
    examples = _schema(info).get("examples")
    return str(examples[0]) if examples else None


def describe(kind: Any) -> str:
    """Returns a description of the valid values, such as `a whole number from 1 to 10`."""
    return _describe(inspect.type_info(kind))


def _describe(info: inspect.Type) -> str:
    if title := _schema(info).get("title"):
        return str(title)
    match info:
        case inspect.Metadata(type=inner):
            return _describe(inner)
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _describe(inner)
        case inspect.VarTupleType(item_type=item):
            return _describe(item) + _OR_SEVERAL
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
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
    raise TypeError(f"settings of type {info} have no description")


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    if info.ge is not None:
        return f" of {info.ge} or more"
    return "" if info.gt is None else f" above {info.gt}"


def _choice(texts: list[str]) -> str:
    return " or ".join(texts) if len(texts) == 2 else f"one of {', '.join(texts)}"


def _schema(info: inspect.Type) -> dict[str, Any]:
    return (info.extra_json_schema or {}) if isinstance(info, inspect.Metadata) else {}


def _check_of(info: inspect.Type) -> Callable[[Any], object]:
    """Returns the function that raises `ValueError` for a bad value of this type."""
    match info:
        case inspect.Metadata(extra={"check": check}):
            return cast(Callable[[Any], object], check)
        case inspect.Metadata(type=inner):
            return _check_of(inner)
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _check_of(inner)
        case inspect.VarTupleType(item_type=item):
            return _check_of(item)
    return lambda value: value


def _construct(kind: type, text: Any) -> Any:
    """Builds a value of a type that msgspec does not know: `Path` or `Secret`."""
    return kind(text)
