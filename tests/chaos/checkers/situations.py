"""Histories for checkers, told as a story: three nodes, healed at second 50, over at second 100."""

from collections.abc import Iterable, Mapping

from chaos.checkers import Limits
from chaos.history import (
    Accepted,
    Action,
    Belief,
    Believed,
    History,
    Key,
    Life,
    Links,
    Lived,
    Operation,
    Outcome,
    RootSample,
    Signed,
    View,
)

LIMITS = Limits()
NODES = ("a", "b", "c")
HEAL_S = 50.0
END_S = 100.0
WEB = Key("a", "web", "web-1")
API = Key("b", "api", "api-1")


class Story:
    """Add what happened, in the order of time; `history` is what a checker gets."""

    def __init__(self, nodes: tuple[str, ...] = NODES, core: tuple[str, ...] | None = None) -> None:
        self.history = History(nodes, heal_at_s=HEAL_S, end_s=END_S, core=core or nodes)
        self._number = 0

    def register(self, key: Key, at: float, **how: float | Outcome) -> int:
        return self._write(Action.REGISTER, key, at, **how)

    def update(self, key: Key, at: float, **how: float | Outcome) -> int:
        return self._write(Action.UPDATE, key, at, **how)

    def deregister(self, key: Key, at: float, **how: float | Outcome) -> int:
        return self._write(Action.DEREGISTER, key, at, **how)

    def _write(
        self,
        action: Action,
        key: Key,
        at: float,
        took: float | Outcome = 0.1,
        outcome: float | Outcome = Outcome.OK,
    ) -> int:
        assert isinstance(took, float)
        assert isinstance(outcome, Outcome)
        self._number += 1
        self.history.operations.append(
            Operation(self._number, action, key.owner, at, at + took, outcome, key=key)
        )
        return self._number

    def lookup(self, node: str, at: float, name: str, shown: Mapping[Key, int]) -> None:
        self._number += 1
        seen = tuple(shown.items())
        self.history.operations.append(
            Operation(self._number, Action.LOOKUP, node, at, at, Outcome.OK, name=name, seen=seen)
        )

    def ends_with(self, shown: Mapping[Key, int], *nodes: str, heads: str = "H") -> None:
        """What these nodes, or the whole core, show at the end."""
        for node in nodes or self.history.core:
            self.history.views.append(
                View(node, heads, f"root of {heads}", tuple(shown.items()), ())
            )

    def lived(self, node: str, at: float, life: Life) -> None:
        self.history.lives.append(Lived(at, node, life))

    def restarts(self, node: str, down: float, up: float, *, damaged: bool = False) -> None:
        self.lived(node, down, Life.CRASHED)
        if damaged:
            self.lived(node, down, Life.DAMAGED)
        self.lived(node, up, Life.STARTED)

    def believes(self, node: str, subject: str, belief: Belief, at: float) -> None:
        self.history.beliefs.append(Believed(at, node, subject, belief, certified=True))

    def links(
        self,
        at: float,
        cut: Iterable[tuple[str, str]] = (),
        *,
        loss: float = 0.0,
        hard: bool = False,
        late: bool = False,
    ) -> None:
        self.history.links.append(Links(at, frozenset(cut), loss, hard, late))

    def signs(self, owner: str, version: int, at: float, *, commit: str = "") -> None:
        commit = commit or f"{owner}{version}"
        self.history.signed.append(Signed(at, owner, (0, version), commit, f"records {commit}"))

    def takes(
        self, node: str, owner: str, version: int, at: float, *, commit: str = "", records: str = ""
    ) -> None:
        commit = commit or f"{owner}{version}"
        self.history.accepted.append(
            Accepted(at, node, owner, (0, version), commit, records or f"records {commit}")
        )

    def holds(self, node: str, at: float, heads: str, root: str = "") -> None:
        self.history.roots.append(RootSample(at, node, heads, root or f"root of {heads}"))


def both_ways(ours: str, theirs: str) -> list[tuple[str, str]]:
    """All pairs between the nodes of two groups, one letter each."""
    return [pair for a in ours for b in theirs for pair in ((a, b), (b, a))]
