"""The trees that we show to others, node by node, as they were when they were first asked for.

A descent takes several rounds, and meanwhile the owner goes on. Trees never change, so to keep one
as it was costs only what has changed since.

Rules this module keeps:

1. A node is shown with what its hash is made of, or not at all.
2. What is kept for those who ask is bounded, in trees and in leaves; what falls out is said to be
   gone, and whoever was asking begins anew or takes the whole.
"""

from collections import OrderedDict

from protocol.branch import Branch
from protocol.commits import Head, Record
from protocol.identity import Revoked
from protocol.merkle import Branching, Tree
from protocol.registry import Registry
from protocol.wire.trees import (
    Children,
    NodeShown,
    NodesShown,
    NodesWanted,
    TreeAnswer,
    TreeRequest,
    weight_of_node,
)

TREES_KEPT_MAX = 256
LEAVES_KEPT_MAX = 200_000
"""Twenty of the largest states; most leaves are those of the living tree too."""


class Trees:
    """Keeps trees by their root or their head, and shows their nodes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: OrderedDict[bytes, Tree] = OrderedDict()
        self._leaves = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def keep_state(self, branch: Branch) -> None:
        """We are about to say that this state may be descended."""
        if branch.head is not None:
            self._keep(branch.head.hash, branch.tree)

    def answer(self, request: TreeRequest, room: int) -> TreeAnswer:
        """What is wanted, as far as it has room; of each tree at least whether it is held."""
        shown = []
        for wanted in request.trees:
            at, tree = self._find(wanted)
            nodes: list[NodeShown] = []
            for prefix in wanted.prefixes if tree is not None else ():
                node = _shown(tree, prefix) if tree is not None else None
                room -= weight_of_node(node) if node is not None else 0
                if node is None or room < 0:
                    break
                nodes.append(node)
            shown.append(NodesShown(at, tuple(nodes)))
        return TreeAnswer(tuple(shown))

    def _find(self, wanted: NodesWanted) -> tuple[bytes, Tree | None]:
        at, tree = wanted.at, self._kept.get(wanted.at)
        if tree is not None:
            self._kept.move_to_end(at)
            return at, tree
        if wanted.owner is None:
            heads = self._registry.heads
            if at not in (b"", heads.root):
                return b"", None
            at, tree = heads.root, heads
        else:
            branch = self._registry.branch(wanted.owner)
            if branch is None or branch.head is None or branch.reaped or branch.head.hash != at:
                return b"", None
            tree = branch.tree
        self._keep(at, tree)
        return at, tree

    def _keep(self, at: bytes, tree: Tree) -> None:
        if at in self._kept:
            self._kept.move_to_end(at)
            return
        self._kept[at] = tree
        self._leaves += len(tree)
        while len(self._kept) > TREES_KEPT_MAX or (
            self._leaves > LEAVES_KEPT_MAX and len(self._kept) > 1
        ):
            _, oldest = self._kept.popitem(last=False)
            self._leaves -= len(oldest)


def _shown(tree: Tree, prefix: str) -> NodeShown | None:
    node = tree.at(prefix)
    if isinstance(node, Branching):
        return Children(node.shown())
    item = node.item if node is not None else None
    return item if isinstance(item, Head | Record | Revoked) else None
