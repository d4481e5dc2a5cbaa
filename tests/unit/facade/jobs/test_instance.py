"""A job instance's identity, and the request hash in every job's state on the topic."""

import msgspec
import pytest
from msgspec.structs import replace

from fabric_jobs.facade.jobs.instance import Instance, content_hash, retry_request
from fabric_jobs.facade.sealing import Content
from tests.support.lifecycle import JOB, drive, request
from tests.support.sealing import NO_SEALING

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
def test_request_hash_known_payload_is_the_hash_of_earlier_versions(
    payload: str, expected: str
) -> None:
    """A create repeated to a later version must not conflict; the hashes were written by hand."""
    assert INSTANCE.request_hash(content_hash(msgspec.json.decode(payload))) == expected


def test_retry_request_of_a_job_with_a_definition_keeps_it() -> None:
    """A create of the same content under the new id is a repetition."""
    job = drive([replace(request(), definition=b'{"parts": []}')])
    retry = retry_request(job, NO_SEALING.content(job), NEW)

    assert retry.definition == job.definition
    assert retry.request_hash == Instance.of(job)._replace(job_id=NEW).request_hash(
        content_hash({"rows": [1, 2, 3]}, {"parts": []})
    )


def test_content_hash_ignores_key_order_and_spaces_but_not_values() -> None:
    """JSON of the same content has the same hash."""
    one, two, other = (
        content_hash(msgspec.json.decode(text))
        for text in ('{"a":1,"b":[2]}', '{ "b": [2], "a": 1 }', '{"a":1,"b":[3]}')
    )
    assert one == two
    assert one != other


def test_retry_request_of_a_job_differs_in_its_id_and_names_the_old_job() -> None:
    """Identity, invoke type and payload are the old job's; its correlation ids are left out."""
    job = drive([request()])
    retry = retry_request(job, NO_SEALING.content(job), NEW)

    assert retry.job_id == NEW != JOB
    assert retry.retry_of == JOB
    assert Instance.of(drive([retry])) == Instance.of(job)._replace(job_id=NEW)
    assert (retry.invoke_type, retry.payload) == (job.state.invoke_type, job.payload)
    assert (retry.activity_id, retry.request_id, retry.traceparent) == (None, None, None)
    assert retry.request_hash == Instance.of(job)._replace(job_id=NEW).request_hash(
        content_hash({"rows": [1, 2, 3]})
    )


@pytest.mark.parametrize("odd", [b"1e400", b'{"rows":["\xff"]}'], ids=["number", "not UTF-8"])
def test_retry_request_of_content_that_no_decoder_takes_has_the_same_content(odd: bytes) -> None:
    """A record that no facade wrote may have it; the handler gets it again, as it is."""
    job = drive([request()])
    retries = [
        retry_request(job, Content(payload, definition, None), NEW)
        for payload, definition in ((odd, b""), (b"null", odd), (b"null", b""))
    ]

    assert (retries[0].payload, retries[1].definition) == (odd, odd)
    assert len({retry.request_hash for retry in retries}) == 3
