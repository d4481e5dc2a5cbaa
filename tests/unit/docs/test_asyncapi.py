"""The published schemas say what the contract's types say."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from docs import asyncapi
from fabric_jobs.contract import events
from tests.unit.contract.test_events import KINDS, LATER, changed, golden, without

DOCS = Path(asyncapi.__file__).parent
SCHEMA: dict[str, Any] = json.loads((DOCS / asyncapi.SCHEMA).read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
#: Any event, also of a type that is not known.
ANY = jsonschema_rs.validator_for({**SCHEMA, "oneOf": [{"$ref": "#/$defs/UnknownEvent"}]})


@pytest.mark.parametrize("name", asyncapi.documents())
def test_the_published_files_are_those_of_today_s_types(name: str) -> None:
    """`make docs` would change nothing."""
    assert (DOCS / name).read_text() == asyncapi.documents()[name]


@pytest.mark.parametrize("name", KINDS)
def test_a_golden_record_fits_the_schema_of_its_type_and_no_other(name: str) -> None:
    """`oneOf` holds for exactly one."""
    assert VALIDATOR.is_valid(json.loads(golden(name)))
    assert ANY.is_valid(json.loads(golden(name)))


def test_a_later_type_fits_the_schema_of_any_event_alone() -> None:
    """So a subscriber can check what it does not know."""
    assert not VALIDATOR.is_valid(json.loads(golden(LATER)))
    assert ANY.is_valid(json.loads(golden(LATER)))


@pytest.mark.parametrize("name", ["requested", "requeued"])
def test_later_fields_and_values_fit(name: str) -> None:
    """The schemas are as open as the compatibility rule."""
    assert VALIDATOR.is_valid(json.loads(golden(name, "later")))


@pytest.mark.parametrize(
    "value",
    [
        changed("started", "data.state.phase", "Sleeping"),
        changed("started", "data.sequence", "2"),
        changed("started", "time", "yesterday"),
        changed("progressed", "data.state.progress.fraction", 1.5),
        without("started", "data.follows"),
        without("attempt-failed", "data.error"),
        without("requeued", "data.reason"),
    ],
)
def test_what_does_not_decode_does_not_fit(value: bytes) -> None:
    """The schemas refuse what the decoder refuses."""
    with pytest.raises(events.NotAnEventError):
        events.decode(value)
    assert not VALIDATOR.is_valid(json.loads(value))


def test_the_fields_are_described() -> None:
    """By the comments that stand beside them in the contract, also where they are inherited."""
    definitions = SCHEMA["$defs"]

    assert definitions["Requeued"]["properties"]["subject"]["description"]
    assert "more each time" in definitions["RequeuedData"]["properties"]["sequence"]["description"]
    assert "fences" in definitions["JobState"]["properties"]["attempt"]["description"]
