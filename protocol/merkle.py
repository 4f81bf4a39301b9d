"""A 16-way Merkle prefix tree: one hash over many facts, kept incrementally.

A leaf lies under the hex digits of its 32-byte path, no deeper than needed to stand alone, so the
tree, and with it the root, depends on what is in it and never on the order it came in (a Merkle
radix tree; compare the Sparse Merkle Trees of RFC 9162's relatives and Ethereum's hex trie).

    leaf   = H(0x00 ‖ path ‖ value)
    branch = H(0x01 ‖ 2-byte bitmap of children ‖ their hashes in order)
    empty  = 32 zero bytes

Rules this module keeps:

1. A tree never changes: `set` and `remove` share what they did not touch and return a new one, so
   a commit whose root turns out wrong is undone by forgetting the new tree.
2. Hashes are computed when asked for and kept, so a bulk load hashes each branch once.
"""

import hashlib
from collections.abc import Iterator

EMPTY_ROOT = bytes(32)
PATH_BYTES = 32
_NIBBLES = 2 * PATH_BYTES


class _Leaf:
    __slots__ = ("digest", "path", "value")

    def __init__(self, path: bytes, value: bytes) -> None:
        self.path = path
        self.value = value
        self.digest = hashlib.blake2b(b"".join((b"\0", path, value)), digest_size=32).digest()


class _Branch:
    __slots__ = ("_digest", "children")

    def __init__(self, children: tuple["_Leaf | _Branch | None", ...]) -> None:
        self.children = children
        self._digest = b""

    @property
    def digest(self) -> bytes:
        if not self._digest:
            bitmap, hashes = 0, [b""]
            for place, child in enumerate(self.children):
                if child is not None:
                    bitmap |= 1 << place
                    hashes.append(child.digest)
            hashes[0] = b"\1" + bitmap.to_bytes(2, "big")
            self._digest = hashlib.blake2b(b"".join(hashes), digest_size=32).digest()
        return self._digest


_Node = _Leaf | _Branch
_NO_CHILDREN: tuple[_Node | None, ...] = (None,) * 16


class Tree:
    """An immutable map of 32-byte paths to values, with a root hash."""

    __slots__ = ("_length", "_top")

    def __init__(self, top: _Node | None = None, length: int = 0) -> None:
        self._top = top
        self._length = length

    def __len__(self) -> int:
        """How many leaves there are."""
        return self._length

    @property
    def root(self) -> bytes:
        """The hash over everything in the tree; 32 zero bytes when empty."""
        return self._top.digest if self._top is not None else EMPTY_ROOT

    def get(self, path: bytes) -> bytes | None:
        """The value at `path`, if there is one."""
        node, depth = self._top, 0
        while isinstance(node, _Branch):
            node = node.children[_nibble(path, depth)]
            depth += 1
        return node.value if node is not None and node.path == path else None

    def set(self, path: bytes, value: bytes) -> "Tree":
        """The tree with `value` at `path`. About 5 µs."""
        found = self.get(path)
        if found == value:
            return self
        top = _set(self._top, _Leaf(path, value), 0)
        return Tree(top, self._length + (found is None))

    def remove(self, path: bytes) -> "Tree":
        """The tree without `path`; itself if it was not there."""
        if self._top is None or self.get(path) is None:
            return self
        return Tree(_remove(self._top, path, 0), self._length - 1)

    def leaves(self) -> Iterator[tuple[bytes, bytes]]:
        """All `(path, value)`, in the order of the paths."""
        waiting: list[_Node | None] = [self._top]
        while waiting:
            node = waiting.pop()
            if isinstance(node, _Leaf):
                yield node.path, node.value
            elif node is not None:
                waiting.extend(reversed(node.children))


def _nibble(path: bytes, depth: int) -> int:
    byte = path[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _set(node: _Node | None, leaf: _Leaf, depth: int) -> _Node:
    if node is None:
        return leaf
    if isinstance(node, _Leaf):
        if node.path == leaf.path:
            return leaf
        return _part(node, leaf, depth)
    place = _nibble(leaf.path, depth)
    child = _set(node.children[place], leaf, depth + 1)
    return _Branch((*node.children[:place], child, *node.children[place + 1 :]))


def _part(old: _Leaf, new: _Leaf, depth: int) -> _Branch:
    """The branches down to where two leaves take different ways."""
    children = list(_NO_CHILDREN)
    here, there = _nibble(old.path, depth), _nibble(new.path, depth)
    if here == there:
        children[here] = _part(old, new, depth + 1)
    else:
        children[here], children[there] = old, new
    return _Branch(tuple(children))


def _remove(node: _Node, path: bytes, depth: int) -> _Node | None:
    if isinstance(node, _Leaf):
        return None
    place = _nibble(path, depth)
    under = node.children[place]
    child = _remove(under, path, depth + 1) if under is not None else None
    children = (*node.children[:place], child, *node.children[place + 1 :])
    left = [one for one in children if one is not None]
    if len(left) == 1 and isinstance(left[0], _Leaf):
        return left[0]  # a leaf stands no deeper than it must, whatever was there before
    return _Branch(children)
