"""The OpenAPI description that the facade publishes, against Fabric's contract."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from litestar.testing import TestClient

from fabric_jobs.facade.http import Operations, http_app
from fabric_jobs.facade.observability.health import ReplicaHealth
from tests.support.fabric_contract import (
    BASE,
    BODIES,
    ENUMERATIONS,
    FACTS,
    GUID,
    INSTANCE,
    TEXT,
    Fact,
    ref,
)

Client = TestClient[Any]


def client(*, docs: bool) -> Client:
    """A client of the application; no test here reaches an operation."""
    operations, health = cast("Operations", object()), cast("ReplicaHealth", object())
    return TestClient(http_app(operations, BASE, 1024, 1024, health, docs))


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """The published description."""
    answer = client(docs=False).get("/schema/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(params=FACTS, ids=lambda key: FACTS[key].operation_id)
def pair(request: pytest.FixtureRequest, description: dict[str, Any]) -> tuple[Fact, Any]:
    """An operation in the contract, and in the published description."""
    method, path = request.param
    return FACTS[request.param], description["paths"][path][method]


def bare(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its title and description."""
    return {key: value for key, value in schema.items() if key not in ("description", "title")}


def unbounded(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its bounds, which Fabric's contract does not have."""
    found = {key: one for key, one in bare(schema).items() if key not in ("maxLength", "maxItems")}
    return found | ({"items": unbounded(found["items"])} if "items" in found else {})


def parameters(operation: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """An operation's parameters in a place: path, header or query."""
    return ((one["name"], one) for one in operation["parameters"] if one["in"] == place)


def test_description_has_exactly_the_operations_of_the_contract(
    description: dict[str, Any],
) -> None:
    """Each has its method, and its path after the base path."""
    found = {(method, path) for path, item in description["paths"].items() for method in item}

    assert found == set(FACTS)


def test_description_operation_has_the_id_of_the_contract(pair: tuple[Fact, Any]) -> None:
    """Clients generated from Fabric's description and from ours have the same names."""
    fact, operation = pair

    assert operation["operationId"] == fact.operation_id
    assert operation["tags"] == [fact.operation_id.split("_")[0]]


def test_description_path_parameters_have_names_and_formats_of_the_contract(
    pair: tuple[Fact, Any],
) -> None:
    """They have the contract's order, and each is required."""
    fact, operation = pair
    found = dict(parameters(operation, "path"))

    assert {name: bare(one["schema"]) for name, one in found.items()} == fact.parts
    assert list(found) == list(fact.parts)
    assert all(one["required"] for one in found.values())


def test_description_headers_are_those_that_are_read_and_the_query_is_empty(
    pair: tuple[Fact, Any],
) -> None:
    """The tenant is required. Fabric always sends its ids, but the facade does not require them."""
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


def test_description_request_body_is_that_of_the_contract(pair: tuple[Fact, Any]) -> None:
    """It is JSON with further fields allowed; an operation without a body describes none."""
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


def test_description_answer_bodies_are_those_of_the_contract(pair: tuple[Fact, Any]) -> None:
    """202 has no body; every error status has an `ErrorResponse`."""
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


def test_description_answer_schemas_have_the_fields_of_the_contract(
    description: dict[str, Any],
) -> None:
    """Fields are in camelCase; no other field is allowed, and none may be null."""
    schemas = description["components"]["schemas"]

    assert set(schemas) == {*BODIES, *ENUMERATIONS}
    for name, (properties, required) in BODIES.items():
        schema = schemas[name]
        assert {key: unbounded(one) for key, one in schema["properties"].items()} == properties
        assert set(schema["required"]) == set(required)
        assert schema["additionalProperties"] is False
    assert {name: schemas[name]["enum"] for name in ENUMERATIONS} == ENUMERATIONS


def test_description_every_operation_needs_the_two_tokens(description: dict[str, Any]) -> None:
    """They come in one header, in a form for which OpenAPI has no scheme."""
    (name,) = (name for needed in description["security"] for name in needed)
    scheme = description["components"]["securitySchemes"][name]

    assert name == "SubjectAndAppToken1.0"
    assert bare(scheme) == {"type": "apiKey", "in": "header", "name": "Authorization"}
    assert not any(
        "security" in one for item in description["paths"].values() for one in item.values()
    )


@pytest.mark.parametrize("path", ["", "/", "/scalar", "/swagger", "/redoc", "/elements", "/any"])
def test_schema_without_docs_serves_no_web_page(path: str) -> None:
    """The answer is the description or an `ErrorResponse`, and loads no script."""
    answer = client(docs=False).get(f"/schema{path}")

    assert answer.headers["content-type"].endswith("json")
    assert ("openapi" in answer.json()) == (answer.status_code == 200)
    assert ("errorCode" in answer.json()) == (answer.status_code == 404)


def test_schema_with_docs_serves_a_web_page_beside_the_description() -> None:
    """The page is at `/schema`."""
    with_docs = client(docs=True)

    assert with_docs.get("/schema").headers["content-type"].startswith("text/html")
    assert with_docs.get("/schema/openapi.json").json()["openapi"].startswith("3.")


REQUESTS: dict[str, Callable[[Client], Any]] = {
    "by OPTIONS": lambda one: one.options(INSTANCE),
    "by a wrong method": lambda one: one.put(INSTANCE),
}


@pytest.mark.parametrize("send", REQUESTS.values(), ids=REQUESTS.keys())
def test_allow_header_names_every_method_of_a_path(send: Callable[[Client], Any]) -> None:
    """OPTIONS and a wrong method get the same header."""
    answer = send(client(docs=False))

    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
