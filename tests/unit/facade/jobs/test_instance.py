"""The hash of a request, which is in every job's state on the topic."""

import msgspec
import pytest

from fabric_jobs.facade.jobs.instance import Instance, again, content_hash
from tests.support.lifecycle import JOB, drive, request

NEW = "44444444-4444-4444-4444-444444444444"
INSTANCE = Instance(
    tenant_id="11111111-1111-1111-1111-111111111111",
    workspace_id="22222222-2222-2222-2222-222222222222",
    item_type="Org.Item",
    item_id="33333333-3333-3333-3333-333333333333",
    job_type="run",
    job_id=NEW,
)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            '{"b": 1.50, "a": [1, {"y":"é","x":null}]}',
            "4c67090847c1c2104c77097965d0bb4c16b07b140b8cba17cdce9105321e97bc",
        ),
        ("null", "0ee63003d6f96089894b9653f821de3e64ff2db1f586987c779f5585512bf227"),
    ],
)
def test_the_hash_is_what_it_always_was(payload: str, expected: str) -> None:
    """A create that is repeated to a later version is still the same; written once by hand."""
    assert INSTANCE.request_hash(content_hash(msgspec.json.decode(payload))) == expected


def test_the_same_payload_written_otherwise_has_the_same_hash() -> None:
    """Neither the order of its fields nor its spaces count; its values do."""
    one, two, other = (
        content_hash(msgspec.json.decode(text))
        for text in ('{"a":1,"b":[2]}', '{ "b": [2], "a": 1 }', '{"a":1,"b":[3]}')
    )
    assert one == two
    assert one != other


def test_another_job_of_the_same_content_differs_in_its_id_alone() -> None:
    """Place, types and payload are the old job's; the correlation of the old request is not."""
    job = drive([request()])
    asked = again(job, NEW)

    assert asked.job_id == NEW != JOB
    assert Instance.of(drive([asked])) == Instance.of(job)._replace(job_id=NEW)
    assert (asked.invoke_type, asked.payload) == (job.state.invoke_type, job.payload)
    assert (asked.activity_id, asked.request_id, asked.traceparent) == (None, None, None)
    assert asked.request_hash == Instance.of(job)._replace(job_id=NEW).request_hash(
        content_hash({"rows": [1, 2, 3]})
    )
