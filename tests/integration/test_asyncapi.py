"""The generated AsyncAPI document, checked against AsyncAPI's published schema."""

import json
from pathlib import Path

import jsonschema_rs
import yaml

from docs import asyncapi


def test_asyncapi_document_is_valid_against_the_published_schema(examples: Path) -> None:
    """The schema is that of version 3.0.0. Each reference to an event's schema resolves."""
    specification = examples / "node_modules/@asyncapi/specs/schemas/3.0.0.json"
    document = yaml.safe_load(asyncapi.documents()[asyncapi.ASYNCAPI])
    validator = jsonschema_rs.validator_for(json.loads(specification.read_text()))

    assert [
        f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)
    ] == []
    assert not validator.is_valid({**document, "operations": {"publish": {"action": "publish"}}})
    schema = json.loads(asyncapi.documents()[asyncapi.SCHEMA])
    for message in document["components"]["messages"].values():
        file, _, place = message["payload"]["$ref"].partition("#/$defs/")
        assert file == asyncapi.SCHEMA
        assert schema["$defs"][place]["title"] == message["title"]
