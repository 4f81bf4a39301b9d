"""What two nodes tell each other of a split when they meet again: the frames of SPLIT.

SPLIT   I knew you at that incarnation, missed you so long ago, and held this of those who were
        away from me
        → what I held of those who were away from me and of those on my side who changed, and
          what changed on my side beyond what you hold; all as it stood when we met again
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol import limits
from protocol.commits import NOTHING, Dot, RecordKey
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, NodeId
from protocol.records import Kind
from protocol.wire import codec

from .changelog import Became, Difference

CHANGES_MAX = 4_096
"""Records that one answer names; the rest is counted."""
CHANGES_BYTES_MAX = 384 * 1024
"""The room for them, so that an answer fits a frame beside two vectors of ten thousand owners."""
_OWNERS_MAX = limits.MEMBERS_MAX
_CHANGE_BYTES = 64
"""What one record takes in an answer, at most, beside its key."""

Vector = tuple[tuple[NodeId, Dot], ...]


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """Asks a member that was cut off from us what it held when we met again."""

    incarnation: int
    """Of the asked, as we knew it before: it may have begun another life since."""
    apart_ms: int
    """How long ago we found it to be away: who met us before that remembers another split."""
    held: Vector
    """What we held of the owners that were away from us."""


@dataclass(frozen=True, slots=True)
class SplitAnswer:
    """How the asked stood when it met the asker again."""

    known: bool
    """Whether it was cut off from the asker, or began another life since, and remembers how."""
    complete: bool
    """Whether `changed` is exact."""
    away: Vector
    """What it held of the owners that were away from it, its own group not among them."""
    here: Vector
    """What it held of the others whose records changed."""
    changed: tuple[Difference, ...]
    left: int
    """How many more there are than `changed` has room for."""


NO_ANSWER = SplitAnswer(known=False, complete=False, away=(), here=(), changed=(), left=0)
"""It noticed nothing, or has forgotten."""


def vector_of(held: Mapping[NodeId, Dot]) -> Vector:
    """What is held, without owners of whom that is nothing."""
    return tuple((owner, dot) for owner, dot in held.items() if dot > NOTHING)


def request_fields(request: SplitRequest) -> list[object]:
    """The fields of a request after its kind."""
    return [request.incarnation, request.apart_ms, _vector_fields(request.held)]


def read_request(reader: codec.Reader) -> SplitRequest:
    """Read them. Raises MalformedError."""
    incarnation, apart_ms = reader.integer("incarnation"), reader.integer("apart_ms")
    return SplitRequest(incarnation, apart_ms, _read_vector(reader, "held"))


def answer_fields(answer: SplitAnswer) -> list[object]:
    """The fields of an answer after its kind."""
    changed = [
        [one.owner, one.key.kind, one.key.key, int(one.became), one.version]
        for one in answer.changed
    ]
    vectors = [_vector_fields(answer.away), _vector_fields(answer.here)]
    return [answer.known, answer.complete, *vectors, changed, answer.left]


def read_answer(reader: codec.Reader) -> SplitAnswer:
    """Read them. Raises MalformedError."""
    known, complete = reader.flag("known"), reader.flag("complete")
    away, here = _read_vector(reader, "away"), _read_vector(reader, "here")
    inner = reader.array("changed", most=CHANGES_MAX)
    changed = tuple(_read_change(inner.array("change", most=5)) for _ in range(len(inner)))
    return SplitAnswer(known, complete, away, here, changed, reader.integer("left"))


def bounded(changed: list[Difference]) -> tuple[tuple[Difference, ...], int]:
    """As many as an answer has room for, and how many are left."""
    room, taken = CHANGES_BYTES_MAX, 0
    for one in changed[:CHANGES_MAX]:
        room -= _CHANGE_BYTES + len(one.key.key.encode())
        if room < 0:
            break
        taken += 1
    return tuple(changed[:taken]), len(changed) - taken


def _vector_fields(vector: Vector) -> list[object]:
    return [[owner, dot.epoch, dot.version] for owner, dot in vector]


def _read_vector(reader: codec.Reader, name: str) -> Vector:
    inner = reader.array(name, most=_OWNERS_MAX)
    vector = []
    for _ in range(len(inner)):
        entry = inner.array("dot", most=3)
        owner = NodeId(entry.fixed("owner", NODE_ID_BYTES))
        dot = Dot(entry.integer("epoch", high=KEY_EVENTS_MAX), entry.integer("version"))
        entry.end()
        vector.append((owner, dot))
    return tuple(vector)


def _read_change(reader: codec.Reader) -> Difference:
    owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
    kind = reader.integer("kind", high=max(Kind))
    key = reader.text("key", most=2 * limits.NAME_MAX + 1)
    became = Became(reader.integer("became", high=max(Became)))
    version = reader.integer("version")
    reader.end()
    return Difference(owner, RecordKey(kind, key), became, version)
