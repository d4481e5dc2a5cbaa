"""Counts the messages inside a large message before it is decoded.

An empty message takes two bytes on the wire and about a hundred in memory. So a message of the
largest size could take 150 MiB, and be refused only after that.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

#: Bound of the messages inside a message.
MAX_PARTS = 100_000
#: A message of at most this size needs no count, because each part takes two bytes at least.
SMALL_BYTES = 2 * MAX_PARTS


class PartCounter:
    """Counts the messages inside messages of one type.

    It decodes each level by itself, with its inner messages as bytes, which take 16 bytes each.
    """

    def __init__(self, descriptor: Any) -> None:
        """`descriptor` is that of the messages' type."""
        inner = {field: kind for field in descriptor.fields if (kind := field.message_type)}
        self._type = _flat_type(inner)
        #: By the name of each field with messages: whether it is repeated, and the counter of what
        #: is inside its messages; None if nothing can be.
        self._fields: dict[str, tuple[bool, PartCounter | None]] = {}
        for field, kind in inner.items():
            has_inner = any(one.message_type for one in kind.fields)
            counter = PartCounter(kind) if has_inner else None
            self._fields[field.name] = field.is_repeated, counter

    def exceeds(self, data: bytes, most: int = MAX_PARTS) -> bool:
        """Returns whether the message has more parts than this. Raises `DecodeError`."""
        return self._count(data, most) > most

    def _count(self, data: bytes, most: int) -> int:
        """The number of parts; the counting ends once there are more than `most`."""
        message: Any = self._type.FromString(data)
        count = 0
        for name, (is_repeated, counter) in self._fields.items():
            values = getattr(message, name)
            if not is_repeated:
                values = [values] if values else []
            count += len(values)
            if counter is None:
                continue
            for value in values:
                if count > most:
                    return count
                count += counter._count(value, most - count)
        return count


def _flat_type(inner: Iterable[FieldDescriptor]) -> type[Message]:
    """A message type that reads these fields as bytes, and leaves out the others."""
    file = descriptor_pb2.FileDescriptorProto(name="flat", package="flat", syntax="proto3")
    message = file.message_type.add(name="Flat")
    field_type = descriptor_pb2.FieldDescriptorProto
    for field in inner:
        message.field.add(
            name=field.name,
            number=field.number,
            type=field_type.TYPE_BYTES,
            label=field_type.LABEL_REPEATED if field.is_repeated else field_type.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Message] = GetMessageClass(pool.FindMessageTypeByName("flat.Flat"))
    return found
