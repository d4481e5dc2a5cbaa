"""The users' grants on their topic: sealed refresh tokens. The topic is for facades alone.

The key of a record is the grant's id, and of the records with one key the last one applies. So the
topic may be compacted, which erases the tokens that a later record has replaced or deleted.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.contract.guids import are_canonical_guids
from fabric_jobs.contract.scalars import Guid

GRANTS_TOPIC = "fabric.jobs.grants"
#: The bound of a sealed refresh token, in characters. Entra's refresh tokens have about 2,000.
MAX_SEALED_CONSENT_CHARS = 64 * 1024


class Grant(Struct, frozen=True, kw_only=True, rename="camel"):
    """What facades keep to get tokens on behalf of the user who requested a job."""

    grant_id: Guid
    #: The job instance id.
    job_id: Guid
    #: The customer's tenant.
    tenant_id: Guid
    #: The sealed `Consent`. Empty: the grant is deleted.
    sealed: Annotated[str, Meta(max_length=MAX_SEALED_CONSENT_CHARS)] = ""


class Consent(Struct, frozen=True, kw_only=True, rename="camel"):
    """The secret part of a grant, as JSON before it is sealed."""

    #: The grant that it belongs to, so that no other grant of the job can have it.
    grant_id: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Consent(grant_id={self.grant_id!r}, refresh_token=***)"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Grant)


def encode(grant: Grant) -> bytes:
    """Returns the value of the grant's record."""
    return _encoder.encode(grant)


def decode_record(key: bytes | None, value: bytes | None) -> Grant | None:
    """Returns the grant in a record, or None if the record is not a grant under its key."""
    try:
        grant = _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_right = are_canonical_guids((grant.grant_id, grant.job_id, grant.tenant_id))
    return grant if is_right and key == grant.grant_id.encode() else None
