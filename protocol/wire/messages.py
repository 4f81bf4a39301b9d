"""Datagrams: every message between members, as bytes.

    0        version of the format, 1
    1        kind
    2..18    first 16 bytes of the sender's node id
    18..-16  body
    -16..    MAC over all before, under the key that the two nodes agree

A heartbeat's body is fixed binary, so that it stays small (52 bytes in all); every other body is a
canonical array. The receiver is not named: its key says that it is meant.

Rules this module keeps:

1. Lengths and kinds are checked before the MAC, the MAC before the body, the body before its use.
2. A peer's bytes can make these functions raise `RemoteProtocolError` and nothing else.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from protocol import limits, signing
from protocol.agreement.evidence import AnyEvidence, Evidence, KeyFork, unpack_any
from protocol.commits import HASH_BYTES, Commit, Dot, unpack_commit
from protocol.detector.detection import (
    Ack,
    Ask,
    Gossip,
    Heartbeat,
    Ping,
    SignedAck,
    SignedVotes,
    Vote,
)
from protocol.errors import MalformedError, RefusedError
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, KeyEvent, NodeId, unpack_event

from . import codec

FORMAT = 1
PREFIX_BYTES = 16
ROOT_PREFIX_BYTES = 6
_HEAD = 2 + PREFIX_BYTES
OVERHEAD = _HEAD + signing.MAC_BYTES
BODY_MAX = limits.DATAGRAM_MAX - OVERHEAD
_BEAT = struct.Struct(">IQ6s")
_ITEMS_MAX = 64
STANDING_MAX = 4_096
"""Signed items of each sort in one sync."""
_VOTES_MAX = 64
_KEY_EVENT_BYTES_MAX = 384


class DatagramKind(enum.IntEnum):
    """What a datagram says. Never reuse a value."""

    HEARTBEAT = 1
    PING = 2
    ACK = 3
    ASK = 4
    GOSSIP = 5
    PUSH = 6
    ADVERT = 7
    WANT = 8
    EVIDENCE = 9
    KEYS = 10
    RECEIPT = 11


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat with the first bytes of the sender's settled root."""

    heartbeat: Heartbeat
    root: bytes


@dataclass(frozen=True, slots=True)
class Push:
    """Whole commits, with the inception events of owners that the receiver may not know."""

    commits: tuple[Commit, ...]
    inceptions: tuple[bytes, ...]

    def inception_of(self, owner: NodeId) -> tuple[bytes, ...]:
        """That owner's inception event, if it came along."""
        return tuple(raw for raw in self.inceptions if unpack_event(raw).hash == owner)


@dataclass(frozen=True, slots=True)
class Advertised:
    """That the sender holds this commit; `large` ones are fetched over a stream."""

    owner: NodeId
    dot: Dot
    hash: bytes
    large: bool


@dataclass(frozen=True, slots=True)
class Advert:
    """What the sender holds, for those who missed the push."""

    items: tuple[Advertised, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Asks for the commits of these owners after the named hashes (empty: from the first)."""

    items: tuple[tuple[NodeId, bytes], ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """An owner's newest key event: it has another key now, or none any more."""

    owner: NodeId
    event: KeyEvent


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver's commits up to this one are on the sender's disk; with its signature."""

    dot: Dot
    hash: bytes
    key_epoch: int
    """Of the key that signed it."""
    signature: bytes


Message: TypeAlias = (
    Beat | Ping | Ack | Ask | Gossip | Push | Advert | Want | AnyEvidence | Keys | Receipt
)


def encode(message: Message) -> tuple[DatagramKind, bytes]:  # noqa: C901, PLR0911 (a return a case)
    """The kind and body of a message."""
    match message:
        case Beat(heartbeat, root):
            body = _BEAT.pack(heartbeat.incarnation, heartbeat.counter, root[:ROOT_PREFIX_BYTES])
            return DatagramKind.HEARTBEAT, body
        case Ping():
            return DatagramKind.PING, codec.pack([message.nonce, message.accused])
        case Ack():
            signed = _signed_ack(message.signed) if message.signed else []
            fields = [message.nonce, message.incarnation, message.counter, signed]
            return DatagramKind.ACK, codec.pack(fields)
        case Ask():
            return DatagramKind.ASK, codec.pack([message.subject])
        case Gossip():
            return DatagramKind.GOSSIP, encode_gossip(message)
        case Push():
            commits = [commit.pack() for commit in message.commits]
            return DatagramKind.PUSH, codec.pack([commits, list(message.inceptions)])
        case Advert():
            items = [[i.owner, i.dot.epoch, i.dot.version, i.hash, i.large] for i in message.items]
            return DatagramKind.ADVERT, codec.pack(items)
        case Want():
            wants = [[owner, known] for owner, known in message.items]
            return DatagramKind.WANT, codec.pack(wants)
        case Evidence() | KeyFork():
            return DatagramKind.EVIDENCE, message.pack()
        case Keys():
            return DatagramKind.KEYS, codec.pack([message.owner, message.event.pack()])
        case Receipt(dot, commit, key_epoch, signature):
            fields = [dot.epoch, dot.version, commit, key_epoch, signature]
            return DatagramKind.RECEIPT, codec.pack(fields)
        case _:
            assert_never(message)


def decode(kind: DatagramKind, body: bytes) -> Message:  # noqa: C901, PLR0911 (a return a case)
    """Read a body whose MAC was right. Raises MalformedError."""
    match kind:
        case DatagramKind.HEARTBEAT:
            return _read_beat(body)
        case DatagramKind.PUSH:
            return _read_push(body)
        case DatagramKind.ADVERT:
            return _read_advert(body)
        case DatagramKind.WANT:
            return _read_want(body)
        case DatagramKind.EVIDENCE:
            return unpack_any(body)
        case DatagramKind.KEYS:
            return _read_keys(body)
        case DatagramKind.RECEIPT:
            return _read_receipt(body)
        case DatagramKind.PING:
            return _read_ping(body)
        case DatagramKind.ACK:
            return _read_ack(body)
        case DatagramKind.ASK:
            return _read_ask(body)
        case DatagramKind.GOSSIP:
            return decode_gossip(body)
        case _:
            assert_never(kind)


def seal(sender: NodeId, key: bytes, kind: DatagramKind, body: bytes) -> bytes:
    """The datagram as it goes out."""
    message = b"".join((bytes((FORMAT, kind)), sender[:PREFIX_BYTES], body))
    return message + signing.mac(key, message)


def inspect(datagram: bytes) -> tuple[DatagramKind, bytes]:
    """The kind and the sender's id prefix, before anything is believed.

    Raises:
        RefusedError: `oversized`, `malformed` (too short, unknown kind) or `unknown_version`.
    """
    if len(datagram) > limits.DATAGRAM_MAX:
        raise RefusedError("oversized", f"a datagram of more than {limits.DATAGRAM_MAX} bytes")
    if len(datagram) < OVERHEAD:
        raise RefusedError("malformed", "a datagram shorter than its envelope")
    if datagram[0] != FORMAT:
        raise RefusedError("unknown_version", f"format {datagram[0]} is not {FORMAT}")
    try:
        kind = DatagramKind(datagram[1])
    except ValueError:
        raise RefusedError("malformed", f"no kind {datagram[1]}") from None
    return kind, datagram[2:_HEAD]


def unseal(datagram: bytes, key: bytes) -> bytes:
    """The body, if the MAC is right.

    Raises:
        RefusedError: `bad_mac`; forged, damaged, or of another cluster.
    """
    end = len(datagram) - signing.MAC_BYTES
    if not signing.same(signing.mac(key, datagram[:end]), datagram[end:]):
        raise RefusedError("bad_mac", "not authenticated by its sender for us and this cluster")
    return datagram[_HEAD:end]


def encode_gossip(gossip: Gossip) -> bytes:
    """Signed acks and votes, also as they travel in a sync (then at most `STANDING_MAX` each)."""
    return codec.pack(
        [[_signed_ack(ack) for ack in gossip.acks], [_signed_votes(v) for v in gossip.votes]]
    )


def decode_gossip(body: bytes) -> Gossip:
    """Read what `encode_gossip` wrote. Raises MalformedError."""
    reader = codec.read(body, "gossip")
    acks = reader.array("acks", most=STANDING_MAX)
    read_acks = tuple(_read_signed_ack(acks.array("ack", most=5)) for _ in range(len(acks)))
    votes = reader.array("votes", most=STANDING_MAX)
    read_votes = tuple(_read_signed_votes(votes.array("votes", most=5)) for _ in range(len(votes)))
    reader.end()
    return Gossip(read_acks, read_votes)


def ack_payload(node: NodeId, incarnation: int, counter: int) -> bytes:
    """What the signature of a signed ack covers."""
    return codec.pack([node, incarnation, counter])


def votes_payload(author: NodeId, votes: tuple[Vote, ...], stamp: int) -> bytes:
    """What the signature of a batch of votes covers."""
    return codec.pack([author, stamp, [[v.subject, v.incarnation, v.counter] for v in votes]])


def receipt_payload(by: NodeId, owner: NodeId, dot: Dot, commit: bytes) -> bytes:
    """What the signature of a receipt covers."""
    return codec.pack([by, owner, dot.epoch, dot.version, commit])


def _signed_ack(ack: SignedAck) -> list[object]:
    return [ack.node, ack.epoch, ack.incarnation, ack.counter, ack.signature]


def _read_signed_ack(reader: codec.Reader) -> SignedAck:
    ack = SignedAck(
        node=NodeId(reader.fixed("node", NODE_ID_BYTES)),
        epoch=reader.integer("epoch", high=KEY_EVENTS_MAX),
        incarnation=reader.integer("incarnation", high=2**32 - 1),
        counter=reader.integer("counter"),
        signature=reader.fixed("signature", signing.SIGNATURE_BYTES),
    )
    reader.end()
    return ack


def _signed_votes(votes: SignedVotes) -> list[object]:
    each = [[vote.subject, vote.incarnation, vote.counter] for vote in votes.votes]
    return [votes.author, votes.epoch, each, votes.stamp, votes.signature]


def _read_signed_votes(reader: codec.Reader) -> SignedVotes:
    author = NodeId(reader.fixed("author", NODE_ID_BYTES))
    epoch = reader.integer("epoch", high=KEY_EVENTS_MAX)
    inner = reader.array("votes", most=_VOTES_MAX)
    votes = tuple(_read_vote(inner.array("vote", most=3)) for _ in range(len(inner)))
    stamp = reader.integer("stamp")
    signature = reader.fixed("signature", signing.SIGNATURE_BYTES)
    reader.end()
    return SignedVotes(author=author, epoch=epoch, votes=votes, stamp=stamp, signature=signature)


def _read_vote(reader: codec.Reader) -> Vote:
    vote = Vote(
        subject=NodeId(reader.fixed("subject", NODE_ID_BYTES)),
        incarnation=reader.integer("incarnation", high=2**32 - 1),
        counter=reader.integer("counter"),
    )
    reader.end()
    return vote


def _read_beat(body: bytes) -> Beat:
    if len(body) != _BEAT.size:
        raise MalformedError("heartbeat", "of the wrong length")
    incarnation, counter, root = _BEAT.unpack(body)
    if counter > codec.INT_MAX:
        raise MalformedError("heartbeat.counter", "too large")
    return Beat(Heartbeat(incarnation=incarnation, counter=counter), root)


def _read_ping(body: bytes) -> Ping:
    reader = codec.read(body, "ping")
    ping = Ping(nonce=reader.integer("nonce"), accused=reader.flag("accused"))
    reader.end()
    return ping


def _read_ack(body: bytes) -> Ack:
    reader = codec.read(body, "ack")
    nonce = reader.integer("nonce")
    incarnation = reader.integer("incarnation", high=2**32 - 1)
    counter = reader.integer("counter")
    inner = reader.array("signed", most=5)
    signed = _read_signed_ack(inner) if len(inner) else None
    reader.end()
    return Ack(nonce=nonce, incarnation=incarnation, counter=counter, signed=signed)


def _read_ask(body: bytes) -> Ask:
    reader = codec.read(body, "ask")
    ask = Ask(subject=NodeId(reader.fixed("subject", NODE_ID_BYTES)))
    reader.end()
    return ask


def _read_push(body: bytes) -> Push:
    reader = codec.read(body, "push")
    commits = reader.raws("commits", most=_ITEMS_MAX, each=BODY_MAX)
    inceptions = reader.raws("inceptions", most=_ITEMS_MAX, each=BODY_MAX)
    reader.end()
    for raw in inceptions:
        unpack_event(raw)
    return Push(tuple(unpack_commit(packed) for packed in commits), tuple(inceptions))


def _read_advert(body: bytes) -> Advert:
    reader = codec.read(body, "advert")
    items = []
    for _ in range(min(len(reader), _ITEMS_MAX)):
        item = reader.array("item", most=5)
        owner = NodeId(item.fixed("owner", NODE_ID_BYTES))
        dot = Dot(item.integer("epoch", high=KEY_EVENTS_MAX), item.integer("version"))
        items.append(Advertised(owner, dot, item.fixed("hash", HASH_BYTES), item.flag("large")))
        item.end()
    reader.end()
    return Advert(tuple(items))


def _read_want(body: bytes) -> Want:
    reader = codec.read(body, "want")
    items = []
    for _ in range(min(len(reader), _ITEMS_MAX)):
        item = reader.array("item", most=2)
        owner = NodeId(item.fixed("owner", NODE_ID_BYTES))
        items.append((owner, item.raw("known", most=HASH_BYTES)))
        item.end()
    reader.end()
    return Want(tuple(items))


def _read_keys(body: bytes) -> Keys:
    reader = codec.read(body, "keys")
    owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
    event = unpack_event(reader.raw("event", most=_KEY_EVENT_BYTES_MAX))
    reader.end()
    return Keys(owner, event)


def _read_receipt(body: bytes) -> Receipt:
    reader = codec.read(body, "receipt")
    receipt = Receipt(
        dot=Dot(reader.integer("epoch", high=KEY_EVENTS_MAX), reader.integer("version")),
        hash=reader.fixed("hash", HASH_BYTES),
        key_epoch=reader.integer("key_epoch", high=KEY_EVENTS_MAX),
        signature=reader.fixed("signature", signing.SIGNATURE_BYTES),
    )
    reader.end()
    return receipt
