"""The bounds of a checkpoint, in a call and in a record."""

import json

import pytest

from fabric_jobs.contract.checkpoints import (
    MAX_CHECKPOINT_BYTES,
    verify_checkpoint,
)
from fabric_jobs.contract.events import NotAnEventError, decode
from fabric_jobs.contract.nesting import MAX_NESTING
from tests.support.golden import golden

LARGEST = b'"' + b"x" * (MAX_CHECKPOINT_BYTES - 2) + b'"'
DEEPEST = b"[" * MAX_NESTING + b"]" * MAX_NESTING


@pytest.mark.parametrize("value", [LARGEST, DEEPEST, b"null", b"0", b'{"a":[{}]}'])
def test_checkpoint_within_its_bounds_is_accepted_and_decodes_in_an_event(value: bytes) -> None:
    """Its largest size and its largest depth are allowed."""
    verify_checkpoint(value)
    decode(golden("checkpointed").replace(b'{"row":7}', value))
    decode(golden("requeued").replace(b'{"row":7}', value))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (LARGEST[:-1] + b'x"', "has 16,385 bytes of JSON; at most 16,384"),
        (b"[" + DEEPEST + b"]", "more than 64 levels"),
        (b"[" * 8_000 + b"]" * 8_000, "more than 64 levels"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'"\xff"', "is not JSON"),
    ],
)
def test_checkpoint_out_of_bounds_raises_value_error_and_its_record_is_no_event(
    value: bytes, why: str
) -> None:
    """A record with such a value is poison, which every replica skips."""
    with pytest.raises(ValueError, match=why):
        verify_checkpoint(value)
    for name in ("checkpointed", "requeued"):
        with pytest.raises(NotAnEventError):
            decode(golden(name).replace(b'{"row":7}', value))


def test_golden_dispatch_carries_the_checkpoint_as_json() -> None:
    """A reader without msgspec finds the value at `data.dispatch.checkpoint`."""
    assert json.loads(golden("requeued"))["data"]["dispatch"]["checkpoint"] == {"row": 7}
