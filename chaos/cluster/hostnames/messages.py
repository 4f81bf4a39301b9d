"""Questions and answers of the DNS (RFC 1035), as much as resolvers of nodes ask.

Rules this module keeps:

1. Pure: bytes in, bytes out. Whatever cannot be read is None, and nothing raises.
2. One question a message, IPv4 addresses as answers; of anything else a name has no record.
"""

import ipaddress
import struct
from dataclasses import dataclass

MESSAGE_BYTES_MAX = 512
"""Of a message over UDP (section 2.3.4)."""
NAME_BYTES_MAX = 255
TTL_S = 0
"""Nobody is to keep an answer: it may be another one in a second."""
_HEADER = struct.Struct(">HHHHHH")
_TAIL = struct.Struct(">HH")
_RECORD = struct.Struct(">HHHIH4s")
_A, _IN = 1, 1
_IS_ANSWER, _OPCODE, _IS_WANTED, _IS_OFFERED = 0x8000, 0x7800, 0x0100, 0x0080
_NO_SUCH_NAME = 3
_POINTER_TO_QUESTION = 0xC000 | _HEADER.size


@dataclass(frozen=True, slots=True)
class Question:
    """What a resolver wants to know."""

    number: int
    """By which it knows the answer."""
    flags: int
    name: str
    """Lower case, without the last dot."""
    kind: int
    raw: bytes
    """As it was asked, for the answer repeats it."""


def read_question(message: bytes) -> Question | None:
    """What is asked; None if that is no question."""
    if not _HEADER.size < len(message) <= MESSAGE_BYTES_MAX:
        return None
    number, flags, count, *_ = _HEADER.unpack_from(message)
    if count != 1 or flags & (_IS_ANSWER | _OPCODE):
        return None
    labels: list[str] = []
    at = _HEADER.size
    while at < len(message) and (length := message[at]):
        if length > 63 or at - _HEADER.size + length > NAME_BYTES_MAX:
            return None
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    end = at + 1 + _TAIL.size
    if end > len(message):
        return None
    kind, where = _TAIL.unpack_from(message, at + 1)
    if where != _IN:
        return None
    return Question(number, flags, ".".join(labels), kind, message[_HEADER.size : end])


def answer_to(question: Question, address: str) -> bytes:
    """The answer: that address, or that there is no such name if it is empty."""
    records = b""
    if address and question.kind == _A:
        packed = ipaddress.IPv4Address(address).packed
        records = _RECORD.pack(_POINTER_TO_QUESTION, _A, _IN, TTL_S, len(packed), packed)
    flags = _IS_ANSWER | _IS_OFFERED | (question.flags & _IS_WANTED)
    flags |= 0 if address else _NO_SUCH_NAME
    return _HEADER.pack(question.number, flags, 1, bool(records), 0, 0) + question.raw + records
