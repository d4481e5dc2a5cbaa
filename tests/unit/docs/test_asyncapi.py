"""The published schemas accept and refuse what the contract's types do."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from docs import asyncapi
from fabric_jobs.contract import events, jobs
from tests.support.golden import KINDS, LATER, changed, golden, without

DOCS = Path(asyncapi.__file__).parent
SCHEMA: dict[str, Any] = json.loads((DOCS / asyncapi.SCHEMA).read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
#: Accepts any event, also one of an unknown type.
ANY = jsonschema_rs.validator_for({**SCHEMA, "oneOf": [{"$ref": "#/$defs/UnknownEvent"}]})


@pytest.mark.parametrize("name", asyncapi.documents())
def test_published_file_equals_the_generated_one(name: str) -> None:
    """`make docs` changes nothing."""
    assert (DOCS / name).read_text() == asyncapi.documents()[name]


@pytest.mark.parametrize("name", KINDS)
def test_golden_record_matches_exactly_one_schema(name: str) -> None:
    """`oneOf` accepts the record only if exactly one of its schemas does."""
    assert VALIDATOR.is_valid(json.loads(golden(name)))
    assert ANY.is_valid(json.loads(golden(name)))


def test_event_of_a_later_type_matches_only_the_unknown_event() -> None:
    """A subscriber can validate events of types that it does not know."""
    assert not VALIDATOR.is_valid(json.loads(golden(LATER)))
    assert ANY.is_valid(json.loads(golden(LATER)))


@pytest.mark.parametrize("name", ["requested", "requeued"])
def test_record_with_later_fields_and_values_matches(name: str) -> None:
    """The schemas allow the changes that the compatibility rule allows."""
    assert VALIDATOR.is_valid(json.loads(golden(name, "later")))


@pytest.mark.parametrize(
    "value",
    [
        changed("started", "data.state.phase", "Sleeping"),
        changed("started", "data.state.tenantId", "a tenant"),
        changed("started", "subject", "a job"),
        changed("started", "data.sequence", "2"),
        changed("started", "time", "yesterday"),
        changed("progressed", "data.state.progress.fraction", 1.5),
        without("started", "data.follows"),
        without("attempt-failed", "data.error"),
        without("requeued", "data.reason"),
    ],
)
def test_record_that_does_not_decode_does_not_match(value: bytes) -> None:
    """The schemas refuse what the decoder refuses."""
    with pytest.raises(events.NotAnEventError):
        events.decode(value)
    assert not VALIDATOR.is_valid(json.loads(value))


@pytest.mark.parametrize(
    ("definition", "field", "declared_in"),
    [
        ("RequeuedData", "reason", events.RequeuedData),
        ("RequeuedData", "sequence", events.EventData),
        ("JobState", "attempt", jobs.JobState),
    ],
)
def test_field_has_the_comment_of_the_contract_as_description(
    definition: str, field: str, declared_in: type
) -> None:
    """The `#:` comment above the field is its description, also in a class that inherits it."""
    source = inspect.getsource(declared_in)
    (comment,) = re.findall(rf"((?: +#: .*\n)+) +{field}:", source)
    words = " ".join(re.findall(r"#: (.*)", comment))

    assert SCHEMA["$defs"][definition]["properties"][field]["description"] == words
