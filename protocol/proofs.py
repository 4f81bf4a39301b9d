"""Inclusion proofs: that one leaf is in a tree of a certain root, shown without the tree.

A proof is the way from the root down to the leaf. Of each branch on it there is one level, what the
branch's hash is made of but for the child on the way: the bitmap, and the hashes of the others.

    level   = 2-byte bitmap of children ‖ hashes of the children that are not on the way, in order
    leaf   → H(0x00 ‖ path ‖ value)
    level   → H(0x01 ‖ bitmap ‖ hashes with the one from below put in at its place)

Two of them, chained by a signature, show a client that trusts nobody what a lookup claims: that the
record is in the owner's state (root: the head's `state_root`), that the owner signed that head, and
that the head is among those that a node holds (root: the node's own).

Rules this module keeps:

1. There is one proof of a leaf in a tree, and no other is taken: a bitmap that does not fit the
   hashes beside it, or lacks the child on the way, proves nothing.
2. A peer's bytes can make nothing here raise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .commits import Head, Record, digest
from .identity import KeyChain
from .merkle import DEPTH_MAX, HASH_BYTES, PATH_BYTES, Branching, Leaf, Tree

_BITMAP_BYTES = 2
LEVEL_BYTES_MAX = _BITMAP_BYTES + 15 * HASH_BYTES

Levels = tuple[bytes, ...]
"""From the root down; none where the leaf is all there is."""


@dataclass(frozen=True, slots=True)
class RecordProof:
    """All that is needed to believe one record, if one knows the cluster's name."""

    chain: KeyChain
    head: Head
    record: Record
    in_state: Levels
    """From the head's state root to the record."""
    in_heads: Levels
    """From the root over all heads to this one."""
    root: bytes


def prove(tree: Tree, path: bytes) -> Levels | None:
    """The proof that the tree has its leaf at `path`; None if it has none there."""
    node, levels = tree.at(""), list[bytes]()
    while isinstance(node, Branching):
        place = _place(path, len(levels))
        shown = node.shown()
        bitmap = int.from_bytes(shown[:_BITMAP_BYTES], "big")
        mine = _BITMAP_BYTES + HASH_BYTES * _before(bitmap, place)
        levels.append(shown[:mine] + shown[mine + HASH_BYTES :])
        node = node.children[place]
    return tuple(levels) if isinstance(node, Leaf) and node.path == path else None


def root_of(levels: Sequence[bytes], path: bytes, value: bytes) -> bytes | None:
    """The root of the tree in which that leaf lies so; None if the levels are no proof."""
    if len(path) != PATH_BYTES or len(levels) > DEPTH_MAX:
        return None
    found = hashlib.blake2b(b"".join((b"\0", path, value)), digest_size=HASH_BYTES).digest()
    for depth in range(len(levels) - 1, -1, -1):
        level, place = levels[depth], _place(path, depth)
        bitmap = int.from_bytes(level[:_BITMAP_BYTES], "big")
        if not bitmap >> place & 1 or len(level) != _BITMAP_BYTES + HASH_BYTES * (
            bitmap.bit_count() - 1
        ):
            return None
        mine = _BITMAP_BYTES + HASH_BYTES * _before(bitmap, place)
        found = digest(b"".join((b"\1", level[:mine], found, level[mine:])))
    return found


def _place(path: bytes, depth: int) -> int:
    byte = path[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _before(bitmap: int, place: int) -> int:
    """How many children stand before that place."""
    return (bitmap & (1 << place) - 1).bit_count()
