"""A descent: one of our trees compared with a root that a peer claims, node by node.

The machine says which nodes it wants to see; whoever drives it asks the peer and hands in what was
shown. Where a hash is the same on both sides, all below is the same and is not looked at, so the
work is in proportion to the difference: about the depth of the tree for each differing leaf.

Rules this module keeps:

1. Nothing is believed that does not hash up to what was promised for its place: the peer is bound
   to its root. It may have made up all of it, and whoever takes the leaves judges them.
2. What a lying peer can make us keep and ask is bounded by `NODES_MAX`, whatever it makes up.
3. A descent ends with both sides of the difference, or with a fault, never with half of it.
"""

import enum

from protocol.merkle import DEPTH_MAX, EMPTY_ROOT, Branching, Leaf, Tree, leaves_under

NODES_MAX = 32_768
"""Nodes promised in one descent. An honest tree of 10,000 leaves has about 14,500."""
_DIGITS = "0123456789abcdef"


class Fault(enum.Enum):
    """Why a descent came to nothing."""

    LIED = "lied"
    """What was shown does not hash up to what was promised, or no honest tree is like that."""
    WITHHELD = "withheld"
    """What was promised was not shown."""
    GONE = "gone"
    """The peer does not hold that tree any more; nobody's fault."""
    TOO_MUCH = "too_much"
    """It would take more bytes or rounds than we give; to send everything is better."""


class Descent:
    """One tree of ours against one root of theirs. Ask `wanted`, hand the answers to `take`."""

    def __init__(self, ours: Tree, root: bytes, *, leaves_max: int) -> None:
        self.ours = ours
        self.root = root
        self.theirs: list[Leaf] = []
        """Leaves of theirs that we lack, or hold with another value."""
        self.lacking: list[Leaf] = []
        """Leaves of ours whose path they lack."""
        self.fault: Fault | None = None
        self._leaves_max = leaves_max
        self._promised = 0
        self._waiting: dict[str, bytes] = {}
        if root == EMPTY_ROOT:
            self.lacking.extend(leaves_under(ours.at("")))
        elif root != ours.root:
            self._expect("", root)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask, for whichever reason."""
        return not self._waiting

    def wanted(self, most: int) -> tuple[str, ...]:
        """The nodes to ask for next, at most so many; those nearest to the top first."""
        return tuple(prefix for prefix, _ in zip(self._waiting, range(most), strict=False))

    def fail(self, fault: Fault) -> None:
        """Give up."""
        self.fault = fault
        self._waiting.clear()

    def take(self, prefix: str, shown: bytes | Leaf) -> None:
        """Take in one node that was wanted.

        Args:
            prefix: which.
            shown: the bitmap and hashes of its children, or the leaf that it is.
        """
        promised = self._waiting.pop(prefix, None)
        if promised is None:
            return  # another node of the same answer made us give up
        if isinstance(shown, Leaf):
            self._take_leaf(prefix, shown, promised)
        else:
            self._take_children(prefix, shown, promised)

    def _take_leaf(self, prefix: str, leaf: Leaf, promised: bytes) -> None:
        if leaf.digest != promised or not leaf.path.hex().startswith(prefix):
            self.fail(Fault.LIED)
            return
        value = None
        for one in leaves_under(self.ours.at(prefix)):
            if one.path == leaf.path:
                value = one.value
            else:
                self.lacking.append(one)
        if value == leaf.value:
            return
        if len(self.theirs) >= self._leaves_max:
            self.fail(Fault.LIED)
            return
        self.theirs.append(leaf)

    def _take_children(self, prefix: str, shown: bytes, promised: bytes) -> None:
        hashes = Branching.hashes_of(shown)
        if hashes is None or len(prefix) >= DEPTH_MAX or Branching.digest_of(shown) != promised:
            self.fail(Fault.LIED)
            return
        for digit, ours, theirs in zip(_DIGITS, self._children(prefix), hashes, strict=True):
            if theirs is None:
                self.lacking.extend(leaves_under(ours))
            elif ours is None or ours.digest != theirs:
                self._expect(prefix + digit, theirs)

    def _children(self, prefix: str) -> tuple[Leaf | Branching | None, ...]:
        """What covers each of the 16 places below a node, on our side."""
        node = self.ours.at(prefix)
        if isinstance(node, Branching):
            return node.children
        at = node.path.hex()[len(prefix)] if node is not None else ""
        return tuple(node if at == digit else None for digit in _DIGITS)

    def _expect(self, prefix: str, promised: bytes) -> None:
        self._promised += 1
        if self.fault is None and self._promised > NODES_MAX:
            self.fail(Fault.LIED)
        if self.fault is None:
            self._waiting[prefix] = promised
