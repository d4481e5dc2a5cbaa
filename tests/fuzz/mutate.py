"""Variations of valid inputs: of their bytes, of their structure, and of protobuf messages."""

import json
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

#: Texts that a decoder, a log line, a page, a path or a database may not expect.
TEXTS = (
    *("", " ", "null", "\x00", "\x1b[31m", "\x9b31m", "\r\nx: y", "%00", "%FE", "../../x", "‮"),
    *("\ud800", "\ufeff", "é" * 300, "a" * 5_000, "<script>", "{{7*7}}", "'; DROP TABLE jobs"),
    *("9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "1969-12-31T00:00:00+23:59"),
    *("2026-11-28T00:00:00", "00000000-0000-0000-0000-000000000000", "1e309", "NaN", "-0"),
)
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**400)
FLOATS = (0.0, -0.0, 1.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
_CHUNKS = (b"\x00", b"\xff" * 8, b"\r\n", b"\r\n\r\n", b"%", b'"', b"\\u0000", b"{", b"[" * 40)
#: Members of an object that Python can't read or write, or that one of two decoders passes over.
MEMBERS = (
    *(b'"x": ' + b"9" * 5_000, b'"x": -' + b"9" * 5_000 + b".5", b'"x": "\xff"', b'"\xfe": 1'),
    *(b'"invokeType": 1', b'"x": {"invokeType": 1}', b'"creationPayload": {"invokeType": 1}'),
)
_MAX_DEPTH = 2_000
_MAX_BYTES = 200_000
_MAX_LIST_BYTES = 100_000


class Mutator:
    """Makes the variations of one input; the same random numbers make the same ones."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return self.random.random() < share

    def vary_bytes(self, sample: bytes) -> bytes:
        """The sample after one to four changes of its bytes."""
        data = bytearray(sample)
        for _ in range(self.random.randint(1, 4)):
            self._change(data)
        return bytes(data[:_MAX_BYTES])

    def _change(self, data: bytearray) -> None:
        random = self.random
        at = random.randrange(len(data) + 1)
        size = random.choice((1, 1, 2, 8, 64))
        match random.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << random.randrange(8)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = random.choice(_CHUNKS)
            case 3:
                data[at:at] = random.randbytes(size)
            case 4:
                data[at:at] = data[at : at + size] * random.choice((2, 100, 1000))
            case _:
                del data[at:]

    def vary_json(self, sample: bytes) -> bytes:
        """The sample's JSON with one to three values replaced, removed, added or nested.

        An object may begin with some of `MEMBERS`, which may make it one that Python can't read.
        """
        value = json.loads(sample)
        for _ in range(self.random.randint(1, 3)):
            value = self._vary(value)
        text = json.dumps(value)
        if self.chance(0.05):
            depth = self.random.randrange(_MAX_DEPTH)
            text = text.replace("null", "[" * depth + "]" * depth, 1)
        data = text.encode()
        if self.chance(0.1) and data.startswith(b'{"'):
            members = self.random.sample(MEMBERS, self.random.randint(1, 3))
            data = b"{" + b", ".join(members) + b", " + data[1:]
        return data

    def _vary(self, value: Any) -> Any:
        """The value with one place in it changed, each place as likely as any other."""
        path = self.random.choice(_paths(value))
        if not path:
            return self._alike(value) if self.chance(0.6) else self.value()
        inner = value
        for step in path[:-1]:
            inner = inner[step]
        if isinstance(inner, dict) and self.chance(0.1):
            del inner[path[-1]]
        elif isinstance(inner, dict) and self.chance(0.05):
            inner[self.text()] = self.value()
        else:
            old = inner[path[-1]]
            inner[path[-1]] = self._alike(old) if self.chance(0.6) else self.value()
        return value

    def _alike(self, value: Any) -> Any:
        """A value of the same type, so that a decoder may take it."""
        if isinstance(value, bool) or value is None:
            return not value
        if isinstance(value, int):
            return self.random.choice(NUMBERS)
        if isinstance(value, float):
            return self.random.choice(FLOATS)
        if isinstance(value, str):
            times = [text for text in TEXTS if "T00:" in text or "T23:" in text]
            return self.random.choice(times) if value[10:11] == "T" else self.text()
        return self.value()

    def value(self) -> Any:
        """A JSON value that is rarely expected."""
        match self.random.randrange(7):
            case 0:
                return self.random.choice(NUMBERS)
            case 1:
                return self.random.choice(FLOATS)
            case 2:
                return self.random.choice((None, True, False, [], {}))
            case 3:
                text = self.text()
                most = _MAX_LIST_BYTES // (6 * len(text) + 6)
                return [text] * min(most, self.random.choice((1, 20, 2_000)))
            case 4:
                return {self.text(): self.text() for _ in range(3)}
            case _:
                return self.text()

    def text(self) -> str:
        """A text that is rarely expected."""
        return self.random.choice(TEXTS)

    def header(self) -> str:
        """Such a text as HTTP's and Kafka's clients let it pass: without what ends a line."""
        return self.text().encode("latin-1", "replace").decode("latin-1").replace("\n", "")

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """A message with random fields; fewer of them at a greater depth."""
        made = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if self.chance(0.5 / (depth + 1)):
                self._fill(made, field, depth)
        return made

    def _fill(self, made: Message, field: FieldDescriptor, depth: int) -> None:
        entry = field.message_type
        if entry and entry.GetOptions().map_entry:
            getattr(made, field.name)[self._utf8()] = self._utf8()
            return
        if field.is_repeated:
            count = self.random.choice((1, 1, 3, 200 if depth < 2 else 3))
            for _ in range(count):
                if entry:
                    getattr(made, field.name).append(self.message(entry, depth + 1))
                else:
                    getattr(made, field.name).append(self._scalar(field))
        elif entry:
            getattr(made, field.name).CopyFrom(self.message(entry, depth + 1))
        else:
            setattr(made, field.name, self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        kinds = FieldDescriptor
        match field.cpp_type:
            case kinds.CPPTYPE_STRING:
                return self._utf8() if field.type == kinds.TYPE_STRING else self._utf8().encode()
            case kinds.CPPTYPE_BOOL:
                return self.chance(0.5)
            case kinds.CPPTYPE_DOUBLE | kinds.CPPTYPE_FLOAT:
                return self.random.choice(FLOATS)
            case kinds.CPPTYPE_ENUM:
                return self.random.choice((0, 1, 5, 99))
            case kinds.CPPTYPE_INT32:
                return self.random.choice([n for n in NUMBERS if -(2**31) <= n < 2**31])
            case kinds.CPPTYPE_UINT32:
                return self.random.choice((0, 1, 2**32 - 1))
            case kinds.CPPTYPE_UINT64:
                return self.random.choice((0, 1, 2**64 - 1))
        return self.random.choice([n for n in NUMBERS if -(2**63) <= n < 2**63])

    def _utf8(self) -> str:
        return self.text().encode("utf-8", "replace").decode()


def _paths(value: Any) -> list[tuple[Any, ...]]:
    """The way to each value in a JSON value, the outermost first."""
    found: list[tuple[Any, ...]] = [()]
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    else:
        return found
    return found + [(step, *rest) for step, inner in steps for rest in _paths(inner)]
