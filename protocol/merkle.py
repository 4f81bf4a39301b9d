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
2. Hashes are computed when asked for and kept, so a bulk load hashes each branch once.
3. A node is named by the hex digits that lead to it, the top by none.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

EMPTY_ROOT = bytes(32)
HASH_BYTES = 32
PATH_BYTES = 32
DEPTH_MAX = 2 * PATH_BYTES
"""Hex digits in a path: no node lies deeper."""


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
        shown: What the node that it replaces shows, if that is known.
        changed: The places of all children that are not that node's. None of them is empty.
    """

    __slots__ = ("_changed", "_shown", "children", "hashed")

    def __init__(
        self,
        children: tuple["Leaf | Branching | None", ...],
        shown: bytes = b"",
        changed: Iterable[int] = (),
    ) -> None:
        self.children = children
        self.hashed = b""
        """The hash, once it was asked for."""
        self._shown = shown
        self._changed: Iterable[int] | None = changed if shown else None
        """None where `_shown` is its own, or nothing yet."""

    @property
    def digest(self) -> bytes:
        """The hash over all below."""
        if not self.hashed:
            self.hashed = blake2b(b"\1" + self.shown(), digest_size=HASH_BYTES).digest()
        return self.hashed

    @property
    def known(self) -> bytes:
        """What it shows, if that was asked for."""
        return self._shown if self._changed is None else b""

    def shown(self) -> bytes:
        """What its hash is made of: a bitmap of the children, and their hashes in order.

        Kept: to change one hash of sixteen costs less than to collect them from all over memory.
        """
        if self._changed is not None:
            self._shown = self._patched(self._shown, self._changed) or self._collected()
            self._changed = None
        elif not self._shown:
            self._shown = self._collected()
        return self._shown

    def _patched(self, shown: bytes, changed: Iterable[int]) -> bytes:
        """With the hashes of those that changed; nothing if one of them is new."""
        patched, bitmap = bytearray(shown), int.from_bytes(shown[:2], "big")
        for place in changed:
            child = self.children[place]
            if child is None or not bitmap >> place & 1:
                return b""
            at = 2 + HASH_BYTES * (bitmap & (1 << place) - 1).bit_count()
            patched[at : at + HASH_BYTES] = child.hashed or child.digest
        return bytes(patched)

    def _collected(self) -> bytes:
        children = self.children
        # A property costs more than all else here, so it is asked only where nothing is kept yet.
        hashes = [child.hashed or child.digest for child in children if child is not None]
        if len(hashes) == len(children):
            return b"".join((_ALL_CHILDREN, *hashes))
        bitmap = 0
        for place, child in enumerate(children):
            if child is not None:
                bitmap |= 1 << place
        return b"".join((bitmap.to_bytes(2, "big"), *hashes))

    @staticmethod
    def digest_of(shown: bytes) -> bytes:
        """The hash of a node that shows this."""
        return blake2b(b"\1" + shown, digest_size=HASH_BYTES).digest()

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
_ALL_CHILDREN = b"\xff\xff"
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
        found = self.get(path)
        if found == value:
            return self
        top = _set(self._top, Leaf(path, value, item), 0)
        return Tree(top, self._length + (found is None))

    def put(self, leaves: Sequence[Leaf]) -> "Tree":
        """The tree with all these leaves, no two of one path: each branch is made once for all."""
        if not leaves:
            return self
        new = sum(1 for leaf in leaves if self.leaf(leaf.path) is None)
        return Tree(_put(self._top, leaves, 0), self._length + new)

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


def _put(node: Node | None, leaves: Sequence[Leaf], depth: int) -> Node:
    if len(leaves) == 1:
        return _set(node, leaves[0], depth)
    if isinstance(node, Branching):
        children = list(node.children)
        groups = _parted(leaves, depth)
        for place, group in groups.items():
            children[place] = _put(children[place], group, depth + 1)
        return Branching(tuple(children), node.known, groups)
    if node is not None and all(leaf.path != node.path for leaf in leaves):
        leaves = [node, *leaves]
    return _gather(leaves, depth)


def _set(node: Node | None, leaf: Leaf, depth: int) -> Node:
    if node is None:
        return leaf
    if isinstance(node, Leaf):
        if node.path == leaf.path:
            return leaf
        return _part(node, leaf, depth)
    place = _nibble(leaf.path, depth)
    children = list(node.children)
    children[place] = _set(children[place], leaf, depth + 1)
    return Branching(tuple(children), node.known, (place,))


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
