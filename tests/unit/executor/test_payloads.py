"""The types of payloads that pydantic validates, beside those that msgspec decodes."""

import dataclasses
from datetime import date
from typing import Any

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from msgspec import inspect

from fabric_jobs.contract.errors import MAX_MESSAGE_CHARS, ErrorSource
from fabric_jobs.executor import Executor, HandlerDefinitionError, Job, PayloadInvalidError
from fabric_jobs.executor.payloads import (
    MAX_ERRORS,
    _inner_types,
    encode_payload,
    make_payload_type,
)
from fabric_jobs.executor.testing import run_job


@dataclasses.dataclass
class Period:
    """A part of a payload."""

    begin: date
    days: int = 30


class Report(pydantic.BaseModel):
    """A payload with a check of its own, and a dataclass in it."""

    region: str = pydantic.Field(min_length=2)
    periods: list[Period] = []
    kind: str = "full"

    @pydantic.field_validator("kind")
    @classmethod
    def _check_kind(cls, kind: str) -> str:
        if kind == "wrong":
            raise ValueError("x" * 10_000)
        return kind


@pydantic.dataclasses.dataclass
class Limits:
    """A dataclass of pydantic's."""

    most: int = pydantic.Field(gt=0)


executor = Executor()


@executor.job("Item", "report")
async def make_report(job: Job[Report]) -> None:
    """Reports the type of its payload, and of what is in it."""
    first = job.payload.periods[0]
    await job.progress(1, f"{type(job.payload).__name__} {type(first).__name__} {first.begin.year}")


def test_pydantic_payload_is_validated_with_all_that_is_in_it() -> None:
    """The handler gets an instance of the model; unknown fields are ignored by default."""
    payload = {"region": "west", "periods": [{"begin": "2026-02-01"}], "new": 1}
    outcome = run_job(executor, "Item", "report", payload)

    assert outcome.status == "Completed"
    assert outcome.progress[0].message == "Report Period 2026"


def test_pydantic_model_can_be_the_payload_of_a_test() -> None:
    """The kit encodes it as JSON, as the client of a service does."""
    payload = Report(region="west", periods=[Period(date(2026, 2, 1))])
    outcome = run_job(executor, "Item", "report", payload)

    assert outcome.status == "Completed"
    assert msgspec.json.decode(encode_payload({"in": payload}))["in"]["region"] == "west"
    with pytest.raises(TypeError, match="object is no JSON"):
        encode_payload(object())


def test_pydantic_payload_that_is_invalid_is_a_permanent_error_of_the_user() -> None:
    """The message names the path of each wrong value."""
    outcome = run_job(executor, "Item", "report", {"region": "w", "periods": [{"days": "many"}]})

    assert outcome.error is not None
    assert (outcome.error.error_code, outcome.attempts) == ("PayloadInvalid", 1)
    assert outcome.error.source is ErrorSource.USER
    assert outcome.error.is_permanent
    for place in ("$.region", "$.periods[0].begin", "$.periods[0].days"):
        assert f"- at `{place}`" in outcome.error.message


@pytest.mark.parametrize(
    "payload", [b"[]", b'"text"', b"{", b'{"region": "\xff"}', b"[" * 100_000], ids=str
)
def test_pydantic_payload_that_is_no_object_or_no_json_is_invalid(payload: bytes) -> None:
    """What can't be decoded raises no other error."""
    with pytest.raises(PayloadInvalidError, match=r"^The payload: .+ - at `\$`"):
        make_payload_type(Report).decode(payload)


def test_pydantic_errors_of_a_payload_are_bounded() -> None:
    """Neither a thousand wrong values nor the text of a validator make a long message."""
    many = {"region": "west", "periods": [{"begin": 1e300}] * 1000}
    with pytest.raises(PayloadInvalidError, match=f"; and {1000 - MAX_ERRORS} more") as raised:
        make_payload_type(Report).decode(msgspec.json.encode(many))
    assert len(raised.value.response.message) <= MAX_MESSAGE_CHARS
    with pytest.raises(PayloadInvalidError, match=r"- at `\$.kind`") as raised:
        make_payload_type(Report).decode(b'{"region": "west", "kind": "wrong"}')

    assert len(raised.value.response.message) < 300


def test_dataclass_of_pydantic_is_validated_by_it() -> None:
    """msgspec alone would take it for an ordinary dataclass, and check nothing of pydantic's."""
    limits = make_payload_type(Limits)
    assert limits.decode(b'{"most": 3}') == Limits(3)
    with pytest.raises(PayloadInvalidError, match=r"greater than 0 - at `\$.most`"):
        limits.decode(b'{"most": 0}')


class Outer(msgspec.Struct):
    """A type of msgspec's with a model of pydantic's in it."""

    reports: dict[str, list[Report | None]]


@dataclasses.dataclass
class OuterLimits:
    """A dataclass with a dataclass of pydantic's in it."""

    limits: Limits


@pytest.mark.parametrize("payload_type", [Outer, OuterLimits, list[Report]])
def test_pydantic_type_inside_another_type_is_refused_at_decoration(payload_type: Any) -> None:
    """pydantic would not validate such a type. The error says what to do."""

    def handler(job: Job[Any]) -> None: ...

    handler.__annotations__["job"] = Job[payload_type]
    with pytest.raises(HandlerDefinitionError, match="Make the whole payload a pydantic model"):
        Executor().job("Item", "job")(handler)


class Tree(msgspec.Struct):
    """A type that contains itself."""

    children: list["Tree"] = []


def test_type_that_contains_itself_has_each_class_once() -> None:
    """The search for pydantic's types ends for such a type."""
    classes = [one.cls for one in _inner_types(inspect.type_info(Tree)) if hasattr(one, "cls")]
    assert classes == [Tree]
    assert make_payload_type(Tree).decode(b'{"children": [{}]}') == Tree([Tree()])
