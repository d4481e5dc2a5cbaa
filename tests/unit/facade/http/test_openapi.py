"""The published description, against the facts of Fabric's contract."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from litestar.testing import TestClient

from fabric_jobs.facade.http import Operations, http_app
from fabric_jobs.facade.observability.health import ReplicaHealth
from tests.support.fabric_contract import (
    BASE,
    BODIES,
    FACTS,
    GUID,
    INSTANCE,
    NAMES,
    TEXT,
    Fact,
    ref,
)

Client = TestClient[Any]


def client(*, docs: bool) -> Client:
    """A client of the application; nothing here comes as far as an operation."""
    operations, health = cast("Operations", object()), cast("ReplicaHealth", object())
    return TestClient(http_app(operations, BASE, 1024, health, docs))


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """As it is published."""
    answer = client(docs=False).get("/schema/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(params=FACTS, ids=lambda key: FACTS[key].operation_id)
def pair(request: pytest.FixtureRequest, description: dict[str, Any]) -> tuple[Fact, Any]:
    """What the contract says of an operation, and what is published."""
    method, path = request.param
    return FACTS[request.param], description["paths"][path][method]


def bare(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its prose."""
    return {key: value for key, value in schema.items() if key not in ("description", "title")}


def parameters(operation: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of a path, of the headers, of the query."""
    return ((one["name"], one) for one in operation["parameters"] if one["in"] == place)


def test_the_contract_s_operations_are_described_and_no_others(
    description: dict[str, Any],
) -> None:
    """Method and path, the base path in front."""
    found = {(method, path) for path, item in description["paths"].items() for method in item}

    assert found == set(FACTS)


def test_operations_have_the_contract_s_ids(pair: tuple[Fact, Any]) -> None:
    """A client that is generated from either description has the same names."""
    fact, operation = pair

    assert operation["operationId"] == fact.operation_id
    assert operation["tags"] == [fact.operation_id.split("_")[0]]


def test_the_parts_of_paths_have_the_contract_s_names_and_formats(pair: tuple[Fact, Any]) -> None:
    """In its order; all of them are needed."""
    fact, operation = pair
    found = dict(parameters(operation, "path"))

    assert {name: bare(one["schema"]) for name, one in found.items()} == fact.parts
    assert list(found) == list(fact.parts)
    assert all(one["required"] for one in found.values())


def test_headers_are_what_is_read_and_nothing_is_read_of_the_query(pair: tuple[Fact, Any]) -> None:
    """The tenant must be there; Fabric's ids always are, but are not insisted on."""
    _, operation = pair
    found = {
        name: (one["required"], bare(one["schema"]))
        for name, one in parameters(operation, "header")
    }

    assert found == {
        "x-ms-client-tenant-id": (True, GUID),
        "ActivityId": (False, TEXT),
        "RequestId": (False, TEXT),
    }
    assert dict(parameters(operation, "query")) == {}


def test_requests_have_the_contract_s_bodies(pair: tuple[Fact, Any]) -> None:
    """In JSON, with further fields allowed; where the contract has none, none is described."""
    fact, operation = pair
    if not fact.body:
        assert "requestBody" not in operation
        return
    content = operation["requestBody"]["content"]
    schema = content["application/json"]["schema"]

    assert operation["requestBody"]["required"] is True
    assert set(content) == {"application/json"}
    assert set(schema) == {"type", "properties", "required"}
    assert schema["type"] == "object"
    assert {name: bare(one) for name, one in schema["properties"].items()} == fact.body
    assert tuple(schema["required"]) == fact.required


def test_answers_have_the_contract_s_bodies(pair: tuple[Fact, Any]) -> None:
    """202 has none; every status that is no success has an `ErrorResponse`."""
    fact, operation = pair
    found = {
        int(status): {kind: body["schema"] for kind, body in answer.get("content", {}).items()}
        for status, answer in operation["responses"].items()
    }
    error = {"application/json": ref("ErrorResponse")}

    assert found == {
        fact.success: {"application/json": ref(fact.answer)} if fact.answer else {},
        **dict.fromkeys(fact.errors, error),
    }


def test_bodies_of_answers_have_the_contract_s_fields(description: dict[str, Any]) -> None:
    """In camelCase, with no field more, and none that is null."""
    schemas = description["components"]["schemas"]

    assert set(schemas) == {*BODIES, *NAMES}
    for name, (properties, required) in BODIES.items():
        schema = schemas[name]
        assert {key: bare(one) for key, one in schema["properties"].items()} == properties
        assert set(schema["required"]) == set(required)
        assert schema["additionalProperties"] is False
    assert {name: schemas[name]["enum"] for name in NAMES} == NAMES


def test_every_operation_needs_the_two_tokens(description: dict[str, Any]) -> None:
    """They come in one header, in a form that no standard scheme has."""
    (name,) = (name for needed in description["security"] for name in needed)
    scheme = description["components"]["securitySchemes"][name]

    assert name == "SubjectAndAppToken1.0"
    assert bare(scheme) == {"type": "apiKey", "in": "header", "name": "Authorization"}
    assert not any(
        "security" in one for item in description["paths"].values() for one in item.values()
    )


@pytest.mark.parametrize("path", ["", "/", "/scalar", "/swagger", "/redoc", "/elements", "/any"])
def test_without_docs_no_page_is_served(path: str) -> None:
    """What answers is the description itself or an `ErrorResponse`: nothing loads a script."""
    answer = client(docs=False).get(f"/schema{path}")

    assert answer.headers["content-type"].endswith("json")
    assert ("openapi" in answer.json()) == (answer.status_code == 200)
    assert ("errorCode" in answer.json()) == (answer.status_code == 404)


def test_with_docs_a_page_is_served_beside_the_description() -> None:
    """At the description's address, for a person's browser."""
    with_docs = client(docs=True)

    assert with_docs.get("/schema").headers["content-type"].startswith("text/html")
    assert with_docs.get("/schema/openapi.json").json()["openapi"].startswith("3.")


ASKED: dict[str, Callable[[Client], Any]] = {
    "by OPTIONS": lambda one: one.options(INSTANCE),
    "by a wrong method": lambda one: one.put(INSTANCE),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_allow_names_every_method_of_a_path(ask: Callable[[Client], Any]) -> None:
    """Whichever way it is asked for."""
    answer = ask(client(docs=False))

    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
