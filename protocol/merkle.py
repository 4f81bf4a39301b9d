"""A 16-way Merkle prefix tree: one hash over many facts, kept incrementally.

A leaf lies under the hex digits of its 32-byte path, no deeper than needed to stand alone, so the
tree, and with it the root, depends on what is in it and never on the order it came in (a Merkle
radix tree; compare the Sparse Merkle Trees of RFC 9162's relatives and Ethereum's hex trie).

    leaf   = H(0x00 ‖ path ‖ value)
    branch = H(0x01 ‖ 2-byte bitmap of children ‖ their hashes in order)
    empty  = 32 zero bytes

Rules this module keeps:

1. A tree never changes: `set` and `remove` share what they did not touch and return a new one, so
   a commit whose root turns out wrong is undone by forgetting the new tree, and a snapshot costs
   nothing.
2. Hashes are computed when asked for and kept, so a bulk load hashes each branch once. A node that
   replaces one whose hash is known is hashed at once: it is about to be asked for, too.
3. A node is named by the hex digits that lead to it, the top by none.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Self

EMPTY_ROOT = bytes(32)
HASH_BYTES = 32
PATH_BYTES = 32
DEPTH_MAX = 2 * PATH_BYTES
"""Hex digits in a path: no node lies deeper."""
_BRANCH = b"\1"
_HASHES_AT = len(_BRANCH) + 2
"""Where in what a node is hashed from its children's hashes begin: after the bitmap."""


class Leaf:
    """One fact: its path, its value, and whatever it stands for. Never changed."""

    __slots__ = ("hashed", "item", "path", "value")

    def __init__(self, path: bytes, value: bytes, item: object = None) -> None:
        self.path = path
        self.value = value
        self.item = item
        """What the value is the hash of, so that nobody needs a table to find it; not hashed."""
        self.hashed = blake2b(b"\0" + path + value, digest_size=HASH_BYTES).digest()

    @property
    def digest(self) -> bytes:
        """The hash of it."""
        return self.hashed


class Branching:
    """A node with children, `None` where there is none. Never changed.

    Args:
        children: All 16.
        written: What its hash is made of, if that is known.
        bitmap: Of the children, the lowest bit for the first; 0 where `written` is not known.
    """

    __slots__ = ("_bitmap", "_written", "children", "hashed")

    def __init__(
        self,
        children: tuple["Leaf | Branching | None", ...],
        written: bytes = b"",
        bitmap: int = 0,
    ) -> None:
        self.children = children
        self._written = written
        self._bitmap = bitmap
        self.hashed = blake2b(written, digest_size=HASH_BYTES).digest() if written else b""
        """The hash, once it is known."""

    @property
    def digest(self) -> bytes:
        """The hash over all below."""
        if not self.hashed:
            self._write()
        return self.hashed

    def shown(self) -> bytes:
        """What its hash is made of: a bitmap of the children, and their hashes in order."""
        if not self.hashed:
            self._write()
        return self._written[len(_BRANCH) :]

    def replaced(self, children: list["Leaf | Branching | None"], places: Iterable[int]) -> Self:
        """One with other children at these places, none of which is empty.

        What is written here is kept for this: to change one hash of sixteen costs less than to
        collect them from all over memory.
        """
        written, bitmap = self._written, self._bitmap
        for place in places:
            child, bit = children[place], 1 << place
            if child is None or not bitmap & bit:
                return type(self)(tuple(children))
            at = _HASHES_AT + HASH_BYTES * (bitmap & bit - 1).bit_count()
            hashed = child.hashed or child.digest
            written = b"".join((written[:at], hashed, written[at + HASH_BYTES :]))
        return type(self)(tuple(children), written, bitmap)

    def _write(self) -> None:
        children = self.children
        # A property costs more than all else here, so it is asked only where nothing is kept yet.
        hashes = [child.hashed or child.digest for child in children if child is not None]
        bitmap = _ALL_CHILDREN
        if len(hashes) < len(children):
            bitmap = sum([1 << place for place, child in enumerate(children) if child is not None])
        self._bitmap = bitmap
        self._written = b"".join((_BRANCH, bitmap.to_bytes(2, "big"), *hashes))
        self.hashed = blake2b(self._written, digest_size=HASH_BYTES).digest()

    @staticmethod
    def digest_of(shown: bytes) -> bytes:
        """The hash of a node that shows this."""
        return blake2b(_BRANCH + shown, digest_size=HASH_BYTES).digest()

    @staticmethod
    def hashes_of(shown: bytes) -> list[bytes | None] | None:
        """The hashes of the children at all 16 places; None where that is nothing `shown`."""
        bitmap = int.from_bytes(shown[:2], "big")
        if not bitmap or len(shown) != 2 + HASH_BYTES * bitmap.bit_count():
            return None
        hashes: list[bytes | None] = [None] * 16
        start = 2
        for place in range(16):
            if bitmap >> place & 1:
                hashes[place] = shown[start : start + HASH_BYTES]
                start += HASH_BYTES
        return hashes


Node = Leaf | Branching
_NO_CHILDREN: tuple[Node | None, ...] = (None,) * 16
_ALL_CHILDREN = 0xFFFF
"""The bitmap of a node with all its children, as those near the top of a large tree are."""


class Tree:
    """An immutable map of 32-byte paths to values, with a root hash."""

    __slots__ = ("_length", "_top")

    def __init__(self, top: Node | None = None, length: int = 0) -> None:
        self._top = top
        self._length = length

    @classmethod
    def of(cls, leaves: Iterable[Leaf]) -> "Tree":
        """The tree of many leaves at once; of two with one path the later counts.

        About 5 µs a leaf with all hashes, half of what `set` takes: nothing is made in vain.
        """
        each = {leaf.path: leaf for leaf in leaves}
        return cls(_gather(list(each.values()), 0) if each else None, len(each))

    def __len__(self) -> int:
        """How many leaves there are."""
        return self._length

    @property
    def root(self) -> bytes:
        """The hash over everything in the tree; 32 zero bytes when empty."""
        return self._top.digest if self._top is not None else EMPTY_ROOT

    def get(self, path: bytes) -> bytes | None:
        """The value at `path`, if there is one."""
        leaf = self.leaf(path)
        return leaf.value if leaf is not None else None

    def leaf(self, path: bytes) -> Leaf | None:
        """The leaf at `path`, if there is one."""
        node, depth = self._top, 0
        while isinstance(node, Branching):
            byte = path[depth >> 1]
            node = node.children[byte & 15 if depth & 1 else byte >> 4]
            depth += 1
        return node if node is not None and node.path == path else None

    def at(self, prefix: str) -> Node | None:
        """The only node that covers all paths that begin with these hex digits.

        That is the node of this name; or, where there is none so deep, the leaf that stands alone
        on the way, if its own path begins so.
        """
        node, depth = self._top, 0
        while isinstance(node, Branching) and depth < len(prefix):
            node = node.children[int(prefix[depth], 16)]
            depth += 1
        if isinstance(node, Leaf) and not node.path.hex().startswith(prefix):
            return None
        return node

    def set(self, path: bytes, value: bytes, item: object = None) -> "Tree":
        """The tree with `value` at `path`. About 5 µs."""
        if self.get(path) == value:
            return self
        yielding: list[Leaf] = []
        top = _set(self._top, Leaf(path, value, item), 0, yielding)
        return Tree(top, self._length + 1 - len(yielding))

    def put(self, leaves: Sequence[Leaf]) -> "Tree":
        """The tree with all these leaves, no two of one path: each branch is made once for all."""
        if not leaves:
            return self
        yielding: list[Leaf] = []
        top = _put(self._top, leaves, 0, yielding)
        return Tree(top, self._length + len(leaves) - len(yielding))

    def remove(self, path: bytes) -> "Tree":
        """The tree without `path`; itself if it was not there."""
        if self._top is None or self.get(path) is None:
            return self
        return Tree(_remove(self._top, path, 0), self._length - 1)

    def leaves(self) -> Iterator[tuple[bytes, bytes]]:
        """All `(path, value)`, in the order of the paths."""
        for leaf in leaves_under(self._top):
            yield leaf.path, leaf.value


def leaves_under(node: Node | None) -> Iterator[Leaf]:
    """All leaves from a node downwards, in the order of their paths."""
    waiting: list[Node | None] = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Leaf):
            yield node
        elif node is not None:
            waiting.extend(reversed(node.children))


def _nibble(path: bytes, depth: int) -> int:
    byte = path[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _gather(leaves: Sequence[Leaf], depth: int) -> Node:
    if len(leaves) == 1:
        return leaves[0]
    children = list(_NO_CHILDREN)
    for place, group in _parted(leaves, depth).items():
        children[place] = _gather(group, depth + 1) if len(group) > 1 else group[0]
    return Branching(tuple(children))


def _parted(leaves: Sequence[Leaf], depth: int) -> dict[int, list[Leaf]]:
    """By the child that each lies under."""
    groups: dict[int, list[Leaf]] = {}
    here, low = depth >> 1, depth & 1
    for leaf in leaves:
        byte = leaf.path[here]
        place = byte & 15 if low else byte >> 4
        if place in groups:
            groups[place].append(leaf)
        else:
            groups[place] = [leaf]
    return groups


def _put(node: Node | None, leaves: Sequence[Leaf], depth: int, yielding: list[Leaf]) -> Node:
    """`yielding` takes in the leaves that give way: to look for each beforehand is a descent."""
    if len(leaves) == 1:
        return _set(node, leaves[0], depth, yielding)
    if isinstance(node, Branching):
        children = list(node.children)
        groups = _parted(leaves, depth)
        for place, group in groups.items():
            children[place] = _put(children[place], group, depth + 1, yielding)
        return node.replaced(children, groups)
    if node is not None and all(leaf.path != node.path for leaf in leaves):
        leaves = [node, *leaves]
    elif node is not None:
        yielding.append(node)
    return _gather(leaves, depth)


def _set(node: Node | None, leaf: Leaf, depth: int, yielding: list[Leaf]) -> Node:
    if isinstance(node, Branching):
        byte = leaf.path[depth >> 1]
        place = byte & 15 if depth & 1 else byte >> 4
        children = list(node.children)
        children[place] = _set(children[place], leaf, depth + 1, yielding)
        return node.replaced(children, (place,))
    if node is None:
        return leaf
    if node.path != leaf.path:
        return _part(node, leaf, depth)
    yielding.append(node)
    return leaf


def _part(old: Leaf, new: Leaf, depth: int) -> Branching:
    """The branches down to where two leaves take different ways."""
    children = list(_NO_CHILDREN)
    here, there = _nibble(old.path, depth), _nibble(new.path, depth)
    if here == there:
        children[here] = _part(old, new, depth + 1)
    else:
        children[here], children[there] = old, new
    return Branching(tuple(children))


def _remove(node: Node, path: bytes, depth: int) -> Node | None:
    if isinstance(node, Leaf):
        return None
    place = _nibble(path, depth)
    under = node.children[place]
    child = _remove(under, path, depth + 1) if under is not None else None
    children = (*node.children[:place], child, *node.children[place + 1 :])
    left = [one for one in children if one is not None]
    if len(left) == 1 and isinstance(left[0], Leaf):
        return left[0]  # a leaf stands no deeper than it must, whatever was there before
    return Branching(children)
