"""What two nodes say on a stream: one request frame, one answer frame.

    SYNC    my version vector, or only the part of it that matters; my own branch if you may lack it
            → bundles of every owner of whom you hold something else or newer; whether there is
              more; standing votes; the newest evidence
    FETCH   one owner, what I hold of it, and from which record on
            → the steps between, the whole state, or the next part of it
    CHECK   are you there? (the last try of a failed check)
            → yes
    TREE    nodes of trees: of the heads that you hold, of states at heads that you showed
            → what each of them is made of
    SPLIT   how did you stand when we met again after a split? (`agreement.split`)
            → what was held, and what changed apart
    DELIVER commits of mine that you have not acknowledged
            → how far you hold my commits now

Rule: a peer's bytes can make these functions raise `MalformedError` and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from protocol import limits
from protocol.agreement import split
from protocol.agreement.docket import REPORTED_MAX, Reported
from protocol.agreement.evidence import KeyFork, unpack_evidence, unpack_key_fork
from protocol.agreement.split import SplitAnswer, SplitRequest
from protocol.commits import (
    HASH_BYTES,
    Commit,
    Dot,
    Head,
    Manifest,
    Record,
    unpack_commit,
    unpack_head,
)
from protocol.detector.detection import Gossip
from protocol.errors import MalformedError
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, NodeId

from . import codec, trees
from .messages import decode_gossip, encode_gossip
from .trees import TreeAnswer, TreeRequest, read_record

_SYNC, _FETCH, _CHECK, _TREE, _SPLIT, _DELIVER = 1, 2, 3, 4, 5, 6
_STEPS, _WHOLE, _HEAD, _PART, _NOTHING = 0, 1, 2, 3, 4
_FRAME = limits.FRAME_MAX
_HEAD_PACKED_MAX = 600
_FORK, _KEY_FORK = 0, 1
"""Kinds of evidence: two heads, two key events."""
_PROOF_MAX = 2 * _HEAD_PACKED_MAX
OWN_BYTES_MAX = 256 * 1024
"""How much of our own branch a join brings along; a larger one is fetched from us."""
_HELD_BYTES = 80
"""What one owner takes in a vector, at most."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Commits that follow each other, oldest first."""

    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a state's records, from `offset` on in the order of their keys, of `total`."""

    head: Head
    total: int
    offset: int
    records: tuple[Record, ...]


Content: TypeAlias = Steps | Manifest | Head | Part | None
"""A lone head: there is more than fits, fetch it. None: only key events are known."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Something of one owner, with the key events it is checked by."""

    key_events: tuple[bytes, ...]
    content: Content


@dataclass(frozen=True, slots=True)
class Held:
    """What the asker holds of an owner; version 0 and a hash of zeros where that is nothing."""

    owner: NodeId
    dot: Dot
    hash: bytes


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Asks for all that differs from this vector."""

    vector: tuple[Held, ...]
    own: Bundle | None
    whole: bool = True
    """The vector names all owners that the asker holds; otherwise only those it asks for."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Asks for one owner's branch after the commit `known` (empty: from the start)."""

    owner: NodeId
    dot: Dot
    """Of `known`, so that the owner itself can tell one it has forgotten from an old one."""
    known: bytes
    at: bytes
    """The head whose parts are being collected, or empty."""
    offset: int


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Asks for a sign of life."""


@dataclass(frozen=True, slots=True)
class DeliverRequest:
    """Brings commits of the asker's own, or its state, or only its head."""

    bundle: Bundle


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What the asked node holds differently."""

    bundles: tuple[Bundle, ...]
    more: bool
    gossip: Gossip
    """Standing votes and the acks that void them."""
    evidence: tuple[Reported, ...] = ()
    """The newest forks, open ones first."""


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    """The branch that was asked for, or None where it is not held."""

    bundle: Bundle | None


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """A sign of life; the stream has proved whose."""


@dataclass(frozen=True, slots=True)
class DeliverAnswer:
    """How far the asker's commits are held: version 0 and a hash of zeros where none is."""

    dot: Dot
    hash: bytes


StreamRequest: TypeAlias = (
    SyncRequest | FetchRequest | CheckRequest | TreeRequest | SplitRequest | DeliverRequest
)
StreamAnswer: TypeAlias = (
    SyncAnswer | FetchAnswer | CheckAnswer | TreeAnswer | SplitAnswer | DeliverAnswer
)


def encode_request(request: StreamRequest) -> bytes:
    """Write a request frame."""
    match request:
        case SyncRequest():
            vector = [[h.owner, h.dot.epoch, h.dot.version, h.hash] for h in request.vector]
            own = [_bundle_fields(request.own)] if request.own else []
            return codec.pack([_SYNC, vector, own, request.whole])
        case FetchRequest():
            dot = request.dot
            fields = [
                request.owner, dot.epoch, dot.version, request.known, request.at, request.offset
            ]  # fmt: skip
            return codec.pack([_FETCH, *fields])
        case CheckRequest():
            return codec.pack([_CHECK])
        case TreeRequest():
            return codec.pack([_TREE, *trees.request_fields(request)])
        case SplitRequest():
            return codec.pack([_SPLIT, *split.request_fields(request)])
        case DeliverRequest(bundle):
            return codec.pack([_DELIVER, _bundle_fields(bundle)])
        case _:
            assert_never(request)


def decode_request(frame: bytes) -> StreamRequest:
    """Read a request frame. Raises MalformedError."""
    reader = codec.read(frame, "request")
    kind = reader.integer("kind", low=_SYNC, high=_DELIVER)
    request: StreamRequest
    if kind == _SYNC:
        vector = reader.array("vector", most=limits.MEMBERS_MAX)
        held = tuple(_read_held(vector.array("held", most=4)) for _ in range(len(vector)))
        own = reader.array("own", most=1)
        bundle = _read_bundle(own.array("bundle", most=3)) if len(own) else None
        request = SyncRequest(held, bundle, reader.flag("whole"))
    elif kind == _FETCH:
        owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
        dot = Dot(reader.integer("epoch", high=KEY_EVENTS_MAX), reader.integer("version"))
        known = reader.raw("known", most=HASH_BYTES)
        at = reader.raw("at", most=HASH_BYTES)
        offset = reader.integer("offset", high=limits.RECORDS_PER_OWNER_MAX)
        request = FetchRequest(owner, dot, known, at, offset)
    elif kind == _CHECK:
        request = CheckRequest()
    elif kind == _TREE:
        request = trees.read_request(reader)
    elif kind == _SPLIT:
        request = split.read_request(reader)
    else:
        request = DeliverRequest(_read_bundle(reader.array("bundle", most=3)))
    reader.end()
    return request


def encode_answer(answer: StreamAnswer) -> bytes:
    """Write an answer frame."""
    match answer:
        case SyncAnswer():
            bundles = [_bundle_fields(bundle) for bundle in answer.bundles]
            reports = [_report_fields(report) for report in answer.evidence]
            gossip = encode_gossip(answer.gossip)
            return codec.pack([_SYNC, bundles, answer.more, gossip, reports])
        case FetchAnswer():
            found = [_bundle_fields(answer.bundle)] if answer.bundle else []
            return codec.pack([_FETCH, found])
        case CheckAnswer():
            return codec.pack([_CHECK])
        case TreeAnswer():
            return codec.pack([_TREE, *trees.answer_fields(answer)])
        case SplitAnswer():
            return codec.pack([_SPLIT, *split.answer_fields(answer)])
        case DeliverAnswer(dot, head):
            return codec.pack([_DELIVER, dot.epoch, dot.version, head])
        case _:
            assert_never(answer)


def decode_answer(frame: bytes) -> StreamAnswer:
    """Read an answer frame. Raises MalformedError."""
    reader = codec.read(frame, "answer")
    kind = reader.integer("kind", low=_SYNC, high=_DELIVER)
    answer: StreamAnswer
    if kind == _SYNC:
        inner = reader.array("bundles", most=limits.MEMBERS_MAX)
        bundles = tuple(_read_bundle(inner.array("bundle", most=3)) for _ in range(len(inner)))
        more = reader.flag("more")
        gossip = decode_gossip(reader.raw("gossip", most=_FRAME))
        told = reader.array("evidence", most=REPORTED_MAX)
        reports = tuple(_read_report(told.array("reported", most=3)) for _ in range(len(told)))
        answer = SyncAnswer(bundles, more, gossip, reports)
    elif kind == _FETCH:
        found = reader.array("found", most=1)
        bundle = _read_bundle(found.array("bundle", most=3)) if len(found) else None
        answer = FetchAnswer(bundle)
    elif kind == _CHECK:
        answer = CheckAnswer()
    elif kind == _TREE:
        answer = trees.read_answer(reader)
    elif kind == _SPLIT:
        answer = split.read_answer(reader)
    else:
        dot = Dot(reader.integer("epoch", high=KEY_EVENTS_MAX), reader.integer("version"))
        answer = DeliverAnswer(dot, reader.fixed("hash", HASH_BYTES))
    reader.end()
    return answer


def own_bytes_max(owners: int) -> int:
    """How much of our own branch fits beside a vector of so many owners."""
    room = limits.FRAME_MAX - owners * _HELD_BYTES - 64 * 1024
    return max(0, min(OWN_BYTES_MAX, room))


def head_of(content: Content) -> Head | None:
    """The newest head that a bundle shows."""
    match content:
        case Steps(commits):
            return commits[-1].head
        case Manifest() | Part():
            return content.head
        case _:
            return content


def listed(answer: SyncAnswer) -> list[tuple[NodeId, Dot]]:
    """The owners of whom an answer shows a head, and its dot; nothing of it is verified."""
    heads = [head_of(bundle.content) for bundle in answer.bundles]
    return [(head.owner, head.dot) for head in heads if head is not None]


def weight(content: Content) -> int:
    """About how many bytes a bundle's content takes in a frame."""
    match content:
        case Steps(commits):
            return sum(350 + len(commit.changes_encoded) for commit in commits)
        case Manifest(_, records) | Part(_, _, _, records):
            return 350 + sum(weight_of(record) for record in records)
        case _:
            return 350


def weight_of(record: Record) -> int:
    """About how many bytes one record takes in a frame."""
    return len(record.key.encode()) + len(record.body) + 10


def _read_held(reader: codec.Reader) -> Held:
    owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
    dot = Dot(reader.integer("epoch", high=KEY_EVENTS_MAX), reader.integer("version"))
    held = Held(owner, dot, reader.fixed("hash", HASH_BYTES))
    reader.end()
    return held


def _bundle_fields(bundle: Bundle) -> list[object]:
    events = list(bundle.key_events)
    match bundle.content:
        case Steps(commits):
            return [events, _STEPS, [commit.pack() for commit in commits]]
        case Manifest(head, records):
            return [events, _WHOLE, [head.pack(), _records_fields(records)]]
        case Head():
            return [events, _HEAD, [bundle.content.pack()]]
        case Part(head, total, offset, records):
            return [events, _PART, [head.pack(), total, offset, _records_fields(records)]]
        case None:
            return [events, _NOTHING, []]
        case _:
            assert_never(bundle.content)


def _records_fields(records: Sequence[Record]) -> list[list[object]]:
    return [[record.kind, record.key, record.body] for record in records]


def _read_bundle(reader: codec.Reader) -> Bundle:
    events = tuple(reader.raws("key_events", most=KEY_EVENTS_MAX, each=400))
    kind = reader.integer("kind", high=_NOTHING)
    inner = reader.array("content", most=4 if kind != _STEPS else limits.HEADERS_KEPT)
    content: Content = None
    if kind == _STEPS:
        if not len(inner):
            raise MalformedError("bundle", "no steps")
        commits = [unpack_commit(inner.raw("commit", most=_FRAME)) for _ in range(len(inner))]
        content = Steps(tuple(commits))
    elif kind == _WHOLE:
        content = Manifest(_read_head(inner), _read_records(inner))
    elif kind == _HEAD:
        content = _read_head(inner)
    elif kind == _PART:
        head = _read_head(inner)
        total = inner.integer("total", high=limits.RECORDS_PER_OWNER_MAX)
        offset = inner.integer("offset", high=limits.RECORDS_PER_OWNER_MAX)
        content = Part(head, total, offset, _read_records(inner))
    inner.end()
    reader.end()
    return Bundle(events, content)


def _report_fields(report: Reported) -> list[object]:
    merge = report.merge.pack() if report.merge else b""
    kind = _KEY_FORK if isinstance(report.evidence, KeyFork) else _FORK
    return [kind, report.evidence.pack(), merge]


def _read_report(reader: codec.Reader) -> Reported:
    kind = reader.integer("kind", high=_KEY_FORK)
    proof = reader.raw("proof", most=_PROOF_MAX)
    evidence = unpack_key_fork(proof) if kind == _KEY_FORK else unpack_evidence(proof)
    merge = reader.raw("merge", most=_HEAD_PACKED_MAX)
    reader.end()
    return Reported(evidence, unpack_head(merge) if merge else None)


def _read_head(reader: codec.Reader) -> Head:
    return unpack_head(reader.raw("head", most=_HEAD_PACKED_MAX))


def _read_records(reader: codec.Reader) -> tuple[Record, ...]:
    records = reader.array("records", most=limits.RECORDS_PER_OWNER_MAX).rest()
    return tuple(map(read_record, records))
