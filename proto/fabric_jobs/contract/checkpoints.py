"""A checkpoint: the small JSON value that a handler saves, and that the next attempt gets."""

import msgspec

from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep

#: The bound of a checkpoint as JSON.
MAX_CHECKPOINT_BYTES = 16 * 1024


def verify_checkpoint(value: bytes) -> None:
    """Raises `ValueError` if the value is not JSON, or is larger than a checkpoint may be."""
    if len(value) > MAX_CHECKPOINT_BYTES:
        raise ValueError(
            f"The checkpoint has {len(value):,} bytes of JSON; "
            f"at most {MAX_CHECKPOINT_BYTES:,} are allowed."
        )
    # Before decoding, because a decoder's own limit of depth differs between versions of Python.
    if is_too_deep(value):
        raise ValueError(f"The checkpoint has more than {MAX_NESTING} levels of JSON.")
    try:
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"The checkpoint is not JSON: {error}.") from error
