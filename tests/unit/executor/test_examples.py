"""Examples of payloads, which `fabric-jobs dev` proposes."""

import dataclasses
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from msgspec import Meta, Struct

from fabric_jobs.executor.examples import MAX_BYTES, make_example
from fabric_jobs.executor.payloads import make_payload_type


class Level(Enum):
    """An enumeration of texts."""

    LOW = "low"
    HIGH = "high"


class Number(IntEnum):
    """An enumeration of numbers."""

    SEVEN = 7


class Part(Struct, forbid_unknown_fields=True):
    """A nested type."""

    name: Annotated[str, Meta(min_length=3, max_length=5)]
    level: Level
    weight: Annotated[float, Meta(gt=0, lt=1)]


class Scalars(Struct):
    """Every kind of value, each required."""

    count: Annotated[int, Meta(ge=10, le=12)]
    step: Annotated[int, Meta(gt=7, multiple_of=5)]
    negative: Annotated[int, Meta(lt=0)]
    above: Annotated[float, Meta(gt=5.5)]
    below: Annotated[float, Meta(lt=-5.5)]
    ratio: float
    flag: bool
    nothing: None
    day: date
    moment: datetime
    zoned: Annotated[datetime, Meta(tz=True)]
    clock: time
    wait: timedelta
    key: UUID
    price: Decimal
    raw: bytes
    anything: Any
    choice: Literal["b", "c"]
    number: Number
    code: Annotated[str, Meta(pattern="^[A-Z]{3}$", min_length=3)]
    maybe: int | None
    tags: Annotated[list[str], Meta(min_length=2)]
    pair: tuple[int, str]
    scores: dict[str, int]
    parts: Annotated[list[Part], Meta(min_length=1)]


class Cat(Struct, tag="cat"):
    """One kind of a union."""

    lives: int


class Dog(Struct, tag="dog"):
    """Another kind."""

    name: str


class Owner(Struct):
    """A type with a tagged union, and a place for itself."""

    animal: Cat | Dog
    friend: "Owner | None" = None


class Options(Struct):
    """A type without required fields."""

    table: Annotated[str, Meta(min_length=1)] = "sales"
    parts: int = 5
    note: str | None = None


class Documented(Struct):
    """A type whose author gives an example, without which none could be made."""

    period: Annotated[str, Meta(pattern=r"^\d{4}-Q[1-4]$", examples=["2026-Q1"])]


class Typed(TypedDict):
    """A TypedDict."""

    region: str


@dataclasses.dataclass
class Data:
    """A dataclass."""

    part: Part


class Inner(pydantic.BaseModel):
    """A nested model."""

    level: Level
    address: pydantic.IPvAnyAddress


class Model(pydantic.BaseModel):
    """A model with constraints and a renamed field."""

    region: Annotated[str, pydantic.StringConstraints(min_length=2, max_length=4)]
    rows: int = pydantic.Field(ge=5, alias="rowCount")
    inner: Inner
    price: Decimal = pydantic.Field(gt=0)
    link: pydantic.HttpUrl
    key: UUID
    items: list[Inner] = pydantic.Field(min_length=1)


TYPES = [Scalars, Owner, Options, Documented, Typed, Data, Model, dict[str, int], Any]


@pytest.mark.parametrize("payload_type", TYPES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_example_is_a_payload_that_the_type_takes(payload_type: Any) -> None:
    """It is one JSON object, short enough for a command line."""
    found = make_payload_type(payload_type)
    example = make_example(found)

    assert example is not None
    assert isinstance(msgspec.json.decode(example), dict)
    assert len(example) <= MAX_BYTES
    found.decode(example)


def test_example_of_a_type_with_defaults_shows_them() -> None:
    """The reader sees which fields there are."""
    assert make_example(make_payload_type(Options)) == b'{"table": "sales", "parts": 5}'


class Leveled(Struct):
    """A type with default values that are not the first of their types."""

    level: Level = Level.LOW
    mode: Literal["delta", "full"] = "full"


def test_example_of_a_type_with_a_default_of_several_values_shows_the_default() -> None:
    """JSON Schema sorts the values, and the first one may start another work than the default."""
    assert make_example(make_payload_type(Leveled)) == b'{"level": "low", "mode": "full"}'


class Endless(Struct):
    """A type of which no finite value exists."""

    again: "Endless"


class Checked(pydantic.BaseModel):
    """A model whose own check accepts no value that the schema suggests."""

    name: str

    @pydantic.field_validator("name")
    @classmethod
    def _check(cls, name: str) -> str:
        raise KeyError(name)


class Patterned(Struct):
    """A type with a pattern for which no text is known."""

    period: Annotated[str, Meta(pattern=r"^\d{4}-Q[1-4]$")]


class Large(Struct):
    """A type whose values are too long for a command line."""

    text: Annotated[str, Meta(min_length=MAX_BYTES)]


@pytest.mark.parametrize("payload_type", [Endless, Checked, Patterned, Large, list[int], int])
def test_example_of_a_type_without_a_simple_value_is_none(payload_type: Any) -> None:
    """`dev` says so, where it would propose a job that fails."""
    assert make_example(make_payload_type(payload_type)) is None
