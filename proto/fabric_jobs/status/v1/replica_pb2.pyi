from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class CopyReplicaRequest(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    def __init__(self, identity: _Optional[bytes] = ...) -> None: ...

class CopyReplicaResponse(_message.Message):
    __slots__ = ("size", "chunk", "checksum")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    size: int
    chunk: bytes
    checksum: int
    def __init__(self, size: _Optional[int] = ..., chunk: _Optional[bytes] = ..., checksum: _Optional[int] = ...) -> None: ...
