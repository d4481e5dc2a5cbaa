"""The inputs of the fuzzer: the same for the same seed, and different otherwise."""

import json
from contextlib import suppress
from random import Random

import pytest

from fabric_jobs.facade.http.bodies import decode_create
from fabric_jobs.facade.http.errors import HttpError
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.fuzz.doors import BODY
from tests.fuzz.mutate import MEMBERS, Mutator

SAMPLE = b'{"a": {"b": [1, "x", 2.5, null, true]}, "time": "2026-11-28T00:00:00Z"}'
METHODS = list(pb.DESCRIPTOR.services_by_name["JobStatusService"].methods)


def mutator(number: int) -> Mutator:
    """A mutator with the random numbers of an input."""
    return Mutator(Random(f"1:test:{number}"))


@pytest.mark.parametrize("kind", ["vary_json", "vary_bytes"])
def test_variations_follow_from_the_seed_and_differ_by_number(kind: str) -> None:
    """A finding is made again from its seed and its number."""
    first = [getattr(mutator(number), kind)(SAMPLE) for number in range(200)]
    again = [getattr(mutator(number), kind)(SAMPLE) for number in range(200)]

    assert first == again
    assert len(set(first)) > 100


def test_vary_json_reaches_every_place() -> None:
    """Each value of a sample is replaced sooner or later, and most texts stay JSON."""
    found: list[object] = []
    for number in range(500):
        # Some of the values are nested too deeply to be read, or have one of `MEMBERS`.
        with suppress(RecursionError, ValueError):
            found.append(json.loads(mutator(number).vary_json(SAMPLE)))
    assert len(found) > 400
    inner = [one["a"]["b"] for one in found if isinstance(one, dict) and has_list(one)]

    assert {one["time"] for one in found if isinstance(one, dict) and is_text(one)} > {
        "2026-11-28T00:00:00Z"
    }
    for place, value in enumerate([1, "x", 2.5, None, True]):
        assert any(len(one) == 5 and one[place] != value for one in inner)


def test_vary_json_of_a_create_is_decoded_or_refused_by_its_declared_error() -> None:
    """The members that Python can't read are among the variations, alone and with others."""
    refused, members = 0, set[bytes]()
    for number in range(2_000):
        body = mutator(number).vary_json(BODY)
        members |= {one for one in MEMBERS if one in body}
        try:
            decode_create(body)
        except HttpError:
            refused += 1

    assert 0 < refused < 2_000
    assert members == set(MEMBERS)


def has_list(value: dict[str, object]) -> bool:
    """Whether the sample's list is still there."""
    outer = value.get("a")
    return isinstance(outer, dict) and isinstance(outer.get("b"), list)


def is_text(value: dict[str, object]) -> bool:
    """Whether the sample's time is still a text."""
    return isinstance(value.get("time"), str)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_messages_of_each_method_can_be_made(method: object) -> None:
    """A field of a kind that the mutator does not know would raise."""
    made = [mutator(n).message(method.input_type) for n in range(50)]  # type: ignore[attr-defined]

    assert (
        len({one.SerializeToString(deterministic=True) for one in made}) > 1
        or not made[0].DESCRIPTOR.fields
    )
