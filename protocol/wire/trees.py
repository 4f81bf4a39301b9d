"""How nodes of trees travel: the frames of a TREE request and its answer, field by field.

A tree is named by its owner and the head whose state it is, or, for the tree of heads, by no owner
and its root. A node is named by the hex digits that lead to it.

    children   the bitmap and the hashes that the node's own hash is made of
    head       in the tree of heads, instead of a leaf: the signed header that it stands for
    revoked    in the tree of heads, of an owner that ended its identity: the event that did
    record     in a state's tree, instead of a leaf: the record that it stands for

So a leaf never travels apart from what it stands for, and who reads it computes its hash.

Rule: a peer's bytes can make these functions raise `MalformedError` and nothing else.
"""

from dataclasses import dataclass
from typing import TypeAlias, cast

from protocol import limits
from protocol.commits import HASH_BYTES, HEADER_MAX, Head, Record, decode_head
from protocol.errors import MalformedError
from protocol.identity import (
    KEY_EVENTS_MAX,
    NODE_ID_BYTES,
    REVOCATION,
    NodeId,
    Revoked,
    read_event,
)
from protocol.merkle import DEPTH_MAX
from protocol.records import Kind
from protocol.signing import SIGNATURE_BYTES

from . import codec

TREES_MAX = 256
"""Trees in one frame."""
NODES_MAX = 4_096
"""Nodes asked for in one frame, over all its trees."""
_CHILDREN_MAX = 2 + 16 * HASH_BYTES
_HEX = frozenset("0123456789abcdef")
_RECORD = codec.Layout(
    codec.integer("kind", high=max(Kind)),
    codec.text("key", most=2 * limits.NAME_MAX + 1),
    codec.raw("body", most=limits.RECORD_BYTES_MAX, least=1),
)


@dataclass(frozen=True, slots=True)
class NodesWanted:
    """Nodes of one tree."""

    owner: NodeId | None
    """Whose state; None for the tree of heads."""
    at: bytes
    """The head whose state, or the root; empty for the tree of heads as it is now."""
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Children:
    """A node that has some."""

    shown: bytes
    """Bitmap and hashes, as `merkle.Branching.shown` writes them."""


NodeShown: TypeAlias = Children | Head | Record | Revoked


@dataclass(frozen=True, slots=True)
class NodesShown:
    """Nodes of one tree in the order in which they were asked for; fewer, where room ran out."""

    at: bytes
    """As in the request, or the root that was asked for; empty where the tree is not held."""
    nodes: tuple[NodeShown, ...]


@dataclass(frozen=True, slots=True)
class TreeRequest:
    """Asks for nodes of one or several trees."""

    trees: tuple[NodesWanted, ...]


@dataclass(frozen=True, slots=True)
class TreeAnswer:
    """One entry for each tree that was asked for, in that order."""

    trees: tuple[NodesShown, ...]


def request_fields(request: TreeRequest) -> list[object]:
    """What follows the kind in a request."""
    return [[[tree.owner or b"", tree.at, list(tree.prefixes)] for tree in request.trees]]


def read_request(reader: codec.Reader) -> TreeRequest:
    """Read what `request_fields` wrote. Raises MalformedError."""
    outer = reader.array("trees", most=TREES_MAX)
    room, trees = NODES_MAX, []
    for _ in range(len(outer)):
        inner = outer.array("tree", most=3)
        owner = inner.raw("owner", most=NODE_ID_BYTES)
        if len(owner) not in (0, NODE_ID_BYTES):
            raise MalformedError("tree.owner", "neither an id nor empty")
        at = _read_at(inner)
        prefixes = inner.texts("prefixes", most=room, each=DEPTH_MAX)
        inner.end()
        if not all(map(_HEX.issuperset, prefixes)):
            raise MalformedError("tree.prefixes", "not hex digits")
        room -= len(prefixes)
        trees.append(NodesWanted(NodeId(owner) if owner else None, at, tuple(prefixes)))
    return TreeRequest(tuple(trees))


def answer_fields(answer: TreeAnswer) -> list[object]:
    """What follows the kind in an answer."""
    return [[[tree.at, [_node_fields(node) for node in tree.nodes]] for tree in answer.trees]]


def read_answer(reader: codec.Reader) -> TreeAnswer:
    """Read what `answer_fields` wrote. Raises MalformedError."""
    outer = reader.array("trees", most=TREES_MAX)
    trees = []
    for _ in range(len(outer)):
        inner = outer.array("tree", most=2)
        at = _read_at(inner)
        nodes = inner.array("nodes", most=NODES_MAX)
        shown = tuple(_read_node(nodes.array("node", most=4)) for _ in range(len(nodes)))
        inner.end()
        trees.append(NodesShown(at, shown))
    return TreeAnswer(tuple(trees))


def read_record(fields: object) -> Record:
    """Read one record; its body stays encoded. Raises MalformedError."""
    _RECORD.check(fields, "record")
    return Record(*cast(tuple[int, str, bytes], fields))


def weight_of_node(node: NodeShown) -> int:
    """About how many bytes a node takes in a frame, never fewer."""
    match node:
        case Children(shown):
            return len(shown) + 4
        case Head():
            return len(node.encoded) + 80
        case Record():
            return len(node.key.encode()) + len(node.body) + 10
        case Revoked():
            return len(node.event.encoded) + 120


def _read_at(reader: codec.Reader) -> bytes:
    at = reader.raw("at", most=HASH_BYTES)
    if len(at) not in (0, HASH_BYTES):
        raise MalformedError("tree.at", "neither a hash nor empty")
    return at


def _node_fields(node: NodeShown) -> list[object]:
    # How many fields there are says what it is.
    match node:
        case Children(shown):
            return [shown]
        case Head():
            return [node.encoded, node.signature]
        case Record():
            return [node.kind, node.key, node.body]
        case Revoked():
            return [node.owner, node.event.sequence, node.event.encoded, node.event.signature]


def _read_node(reader: codec.Reader) -> NodeShown:
    node: NodeShown
    if len(reader) == 1:
        shown = reader.raw("children", most=_CHILDREN_MAX, least=2 + HASH_BYTES)
        if len(shown) != 2 + HASH_BYTES * int.from_bytes(shown[:2], "big").bit_count():
            raise MalformedError("node.children", "not as many hashes as the bitmap says")
        node = Children(shown)
    elif len(reader) == 2:
        encoded = reader.raw("header", most=HEADER_MAX)
        node = decode_head(encoded, reader.fixed("signature", SIGNATURE_BYTES))
    elif len(reader) == 4:
        owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
        sequence = reader.integer("sequence", high=KEY_EVENTS_MAX)
        body = reader.raw("body", most=256)
        event = read_event(body, reader.fixed("signature", SIGNATURE_BYTES))
        if event.kind != REVOCATION or event.sequence != sequence:
            raise MalformedError("node.event", "not the revocation that it is called")
        node = Revoked(owner, event)
    else:
        node = read_record(reader.rest())
    reader.end()
    return node
