"""Encodes the checkpoints that handlers save, and decodes them for the next attempt."""

from typing import TypeVar

import msgspec

from fabric_jobs.contract.checkpoints import verify_checkpoint
from fabric_jobs.executor.errors import CheckpointError

V = TypeVar("V")


def encode_checkpoint(value: object) -> bytes:
    """Returns the value as JSON. Raises `CheckpointError` if it is no JSON or too large."""
    try:
        checkpoint = msgspec.json.encode(value)
        verify_checkpoint(checkpoint)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"The checkpoint can't be saved: {error}") from error
    return checkpoint


def decode_checkpoint(checkpoint: bytes, value_type: type[V]) -> V:
    """Returns the saved value. Raises `CheckpointError` if it is not of the type."""
    try:
        return msgspec.json.decode(checkpoint, type=value_type)
    except (msgspec.MsgspecError, TypeError) as error:
        raise CheckpointError(
            f"The saved checkpoint is not of the type {value_type!r}: {error}"
        ) from error
