"""Hypothesis strategies from the contract's own types, and from the descriptors of the status API.

Whatever `decode` accepts may come, above all what lies at a bound.
"""

import os
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgspec import inspect

from fabric_jobs.contract.nesting import MAX_NESTING
from fabric_jobs.contract.scalars import END_OF_TIME, MIN_TIME

#: More examples than in a usual run: FABRIC_JOBS_TEST_EXAMPLES=5000.
EXAMPLES = int(os.environ.get("FABRIC_JOBS_TEST_EXAMPLES", "0"))
#: The longest text here. A sealed payload has no other bound than the size of a record.
MAX_TEXT = 100_000
GUID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


def examples(count: int) -> settings:
    """Returns settings of this many examples, or of as many as the environment says."""
    return settings(
        max_examples=EXAMPLES or count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        derandomize=not EXAMPLES,
        database=None,
    )


def json_of(kind: Any) -> st.SearchStrategy[Any]:
    """Returns JSON values that decode to this type."""
    return _json_of(inspect.type_info(kind))


def _json_of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(extra_json_schema={"pattern": _}):
            return st.uuids().map(str) | st.just(GUID)
        case inspect.Metadata():
            return _json_of(info.type)
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType():
            return st.one_of(*map(_json_of, info.types))
        case inspect.StrType():
            return texts(info.min_length or 0, info.max_length or 0)
        case inspect.IntType():
            assert info.ge is not None
            assert info.le is not None
            ends = st.sampled_from([int(info.ge), int(info.le)])
            return ends | st.integers(int(info.ge), int(info.le))
        case inspect.FloatType():
            least = info.ge if info.ge is not None else info.gt
            return st.floats(least, info.le, exclude_min=info.ge is None)
        case inspect.VarTupleType():
            most = min(info.max_length or 0, 20)
            return st.lists(_json_of(info.item_type), min_size=info.min_length or 0, max_size=most)
        case inspect.DateTimeType():
            return _TIMES
        case inspect.EnumType():
            return st.sampled_from([member.value for member in info.cls])
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.RawType():
            return PAYLOADS
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
    raise NotImplementedError(info)


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    """Returns texts of any characters that UTF-8 can encode, also of control characters."""
    usual = st.text(st.characters(codec="utf-8"), min_size=least, max_size=min(most, 30))
    awkward = st.sampled_from(
        [
            text
            for text in ("\x00", "\x1b[31m", "\u202e\n", "<&'\"", "x" * min(most, MAX_TEXT))
            if len(text) <= most
        ]
    )
    return usual | awkward


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    if info.tag_field:
        needed[info.tag_field] = st.just(info.tag)
    for field in info.fields:
        (needed if field.required else optional)[field.encode_name] = _json_of(field.type)
    if info.array_like:
        return st.tuples(*needed.values())
    return st.fixed_dictionaries(needed, optional=optional)


def _nested(levels: int) -> Any:
    value: Any = 1
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


_TIMES = st.sampled_from(["2000-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z"]) | st.datetimes(
    datetime(2000, 1, 2), datetime(2199, 12, 30), timezones=st.timezones()
).filter(lambda time: MIN_TIME <= time.astimezone(UTC) < END_OF_TIME).map(
    lambda time: time.astimezone(UTC).isoformat()
)
PAYLOADS: st.SearchStrategy[Any] = st.sampled_from(
    [None, {}, _nested(MAX_NESTING), {"a": [[]] * 100}, {"n": 10**40}]
) | st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(0, 9), inner, max_size=3),
    max_leaves=9,
)


def messages_of(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Returns messages of this type, with any values in any fields."""
    return _message(kind.DESCRIPTOR, 0)


def _message(descriptor: Any, depth: int) -> st.SearchStrategy[Any]:
    fields = {
        field.name: _field(field, depth)
        for field in descriptor.fields
        if depth < 4 or field.message_type is None
    }
    # A set oneof takes the last of its fields, as on the wire.
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda values: GetMessageClass(descriptor)(**values)
    )


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return st.dictionaries(texts(0, 9), texts(0, 9), max_size=20)
    one = _value(field, depth)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    kinds = FieldDescriptor
    if field.message_type:
        return _message(field.message_type, depth + 1)
    match field.cpp_type:
        case kinds.CPPTYPE_STRING if field.type == kinds.TYPE_BYTES:
            return st.binary(max_size=20)
        case kinds.CPPTYPE_STRING:
            return st.sampled_from([GUID, GUID.upper()]) | texts(0, 200)
        case kinds.CPPTYPE_ENUM:
            return st.integers(0, 7)
        case kinds.CPPTYPE_BOOL:
            return st.booleans()
        case kinds.CPPTYPE_DOUBLE:
            return st.floats(0, 1) | st.floats()
        case kinds.CPPTYPE_INT32:
            return _integers(-(2**31), 2**31 - 1)
        case kinds.CPPTYPE_INT64:
            return _integers(-(2**63), 2**63 - 1)
        case kinds.CPPTYPE_UINT64:
            return _integers(0, 2**64 - 1)
    raise NotImplementedError(field.full_name)


def _integers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.sampled_from([least, 0, 1, most]) | st.integers(least, most)
