"""The definition of an item, which Fabric can send with a request of the remote-jobs family."""

import base64

import msgspec
from msgspec import Struct

_INLINE_BASE64 = "InlineBase64"


class DefinitionPart(Struct, frozen=True, kw_only=True, rename="camel"):
    """One part of an item's definition, such as a file."""

    #: The path of the part within the item.
    path: str
    #: The content, encoded as `payload_type` says.
    payload: str
    #: The encoding of the content. Fabric has one: `InlineBase64`.
    payload_type: str

    def content(self) -> bytes:
        """The decoded content.

        Raises `ValueError` if the payload type is not `InlineBase64` or the payload is not base64.
        """
        if self.payload_type != _INLINE_BASE64:
            raise ValueError(f"The payload type {self.payload_type!r} is not {_INLINE_BASE64}.")
        return base64.b64decode(self.payload, validate=True)


class ItemDefinition(Struct, frozen=True, kw_only=True, rename="camel"):
    """An item's definition. Unknown fields are ignored."""

    parts: tuple[DefinitionPart, ...] = ()


_decoder = msgspec.json.Decoder(ItemDefinition)


def decode_definition(json: bytes) -> ItemDefinition:
    """The definition in a JSON text. Raises `msgspec.MsgspecError` and `UnicodeDecodeError`."""
    return _decoder.decode(json)
