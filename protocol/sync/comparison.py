"""Trees of ours compared with those of one peer: several descents that share their frames.

Rules this module keeps:

1. A round asks for what every unfinished descent wants next, as far as a frame may ask.
2. A round that shows nothing new ends them all; `ROUNDS_MAX` and `BYTES_MAX` end them in any case.
3. What comes out of one tree does not depend on the others.
"""

from collections.abc import Sequence

from protocol import limits
from protocol.commits import Change, Head, Mend, Record, leaf_of
from protocol.identity import NodeId, Revoked
from protocol.merkle import Leaf, Tree
from protocol.wire.trees import (
    NODES_MAX,
    TREES_MAX,
    Children,
    NodeShown,
    NodesShown,
    NodesWanted,
    TreeAnswer,
    TreeRequest,
)

from .descent import Descent, Fault

ROUNDS_MAX = 64
BYTES_MAX = 16 * limits.FRAME_MAX
"""Answers of one comparison. Whoever differs by more is better sent everything."""


class Compared:
    """One tree of ours beside one of theirs."""

    def __init__(self, ours: Tree, head: Head | None = None) -> None:
        self.ours = ours
        self.head = head
        """The signed head whose state it is; None for the tree of heads."""
        self.at = head.hash if head else b""
        """What the tree is called: its head, or the root that the peer claimed first."""
        self.descent: Descent | None = None
        self.fault: Fault | None = None
        if head is not None:
            self._begin(head.state_root, limits.RECORDS_PER_OWNER_MAX)

    @property
    def owner(self) -> NodeId | None:
        """Whose state it is, if it is one."""
        return self.head.owner if self.head else None

    @property
    def done(self) -> bool:
        """Whether nothing more is to be asked."""
        return self.fault is not None or (self.descent is not None and self.descent.done)

    def wanted(self, most: int) -> tuple[str, ...]:
        """The nodes to ask for next, at most so many."""
        return self.descent.wanted(most) if self.descent else ("",)

    def fail(self, fault: Fault) -> None:
        """Give up, unless it is over anyway."""
        if not self.done:
            self.fault = fault

    def take(self, prefixes: Sequence[str], shown: NodesShown) -> bool:
        """Take in what was shown of the nodes that were asked for; whether that was anything."""
        if not shown.at:
            self.fail(Fault.GONE)
            return True
        if self.descent is None:
            self.at = shown.at
            self._begin(shown.at, limits.MEMBERS_MAX)
        elif shown.at != self.at:
            self.fail(Fault.LIED)
            return True
        if self.descent is None or len(shown.nodes) > len(prefixes):
            self.fail(Fault.LIED)
            return True
        for prefix, node in zip(prefixes, shown.nodes, strict=False):
            self._take(self.descent, prefix, node)
        self.fault = self.fault or self.descent.fault
        return bool(shown.nodes) or self.done

    def mend(self) -> Mend | None:
        """What leads from our state to theirs; None where that was not found out."""
        if self.head is None or self.descent is None or self.fault is not None:
            return None
        changes = [
            Change(leaf.item.kind, leaf.item.key, leaf.item.body if set_ else None)
            for leaves, set_ in ((self.descent.theirs, True), (self.descent.lacking, False))
            for leaf in leaves
            if isinstance(leaf.item, Record)
        ]
        changes.sort(key=lambda change: (change.kind, change.key))
        return Mend(self.head, self.ours.root, tuple(changes))

    def _begin(self, root: bytes, leaves_max: int) -> None:
        self.descent = Descent(self.ours, root, leaves_max=leaves_max)

    def _take(self, descent: Descent, prefix: str, node: NodeShown) -> None:
        match node:
            case Children(shown):
                descent.take(prefix, shown)
            case Head() if self.head is None:
                descent.take(prefix, Leaf(node.owner, node.hash, node))
            case Revoked() if self.head is None:
                descent.take(prefix, Leaf(node.owner, node.hash, node))
            case Record() if self.head is not None:
                descent.take(prefix, leaf_of(node))
            case _:
                descent.fail(Fault.LIED)  # a leaf of another sort of tree


class Comparison:
    """All trees that are compared with one peer's at the same time."""

    def __init__(self, trees: Sequence[Compared]) -> None:
        self.trees = tuple(trees[:TREES_MAX])
        self._asked: list[tuple[Compared, tuple[str, ...]]] = []
        self._rounds = 0
        self._bytes = 0

    def request(self) -> TreeRequest | None:
        """What to ask next; None when it is over."""
        room = NODES_MAX
        self._asked = []
        for tree in self.trees:
            if not tree.done and room:
                prefixes = tree.wanted(room)
                room -= len(prefixes)
                self._asked.append((tree, prefixes))
        if not self._asked:
            return None
        wanted = tuple(NodesWanted(tree.owner, tree.at, asked) for tree, asked in self._asked)
        return TreeRequest(wanted)

    def take(self, answer: TreeAnswer, size: int) -> None:
        """Take in the answer to the last request, a frame of so many bytes."""
        self._rounds += 1
        self._bytes += size
        if len(answer.trees) != len(self._asked):
            self._fail(Fault.LIED)
            return
        moved = [
            tree.take(prefixes, shown)
            for (tree, prefixes), shown in zip(self._asked, answer.trees, strict=True)
        ]
        if not any(moved):
            self._fail(Fault.WITHHELD)
        if self._rounds >= ROUNDS_MAX or self._bytes > BYTES_MAX:
            self._fail(Fault.TOO_MUCH)

    def _fail(self, fault: Fault) -> None:
        for tree in self.trees:
            tree.fail(fault)
