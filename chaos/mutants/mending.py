"""Mutants of repair: how far a peer's word is believed when two registries are compared."""

from dataclasses import replace

from chaos.sim.plan import Fault, FaultKind, Role
from protocol.branch import Branch
from protocol.commits import Mend
from protocol.effects import Effect
from protocol.history.outcomes import AppliedStep, Gap, Outcome
from protocol.identity import NodeId
from protocol.merkle import Leaf
from protocol.sync import repair
from protocol.sync.descent import Descent
from protocol.sync.outreach import Outreach
from protocol.sync.repair import WAIT_MAX_S, Repair

from .core import DELIVER_NOTHING
from .mutant import Mutant, Patch, small_plan

_SYNCED = Repair.synced
_TAKE_LEAF = vars(Descent)["_take_leaf"]


def _synced_and_sure(self: Repair, peer: NodeId, *, news: bool, now: float) -> None:
    _SYNCED(self, peer, news=news, now=now)
    if not news:
        self._due.clear()
        for state in self._peers.values():
            state.not_before = max(state.not_before, now + 2 * WAIT_MAX_S)


def _ask_nobody_else(self: Outreach, *_: object) -> list[Effect]:
    return []


def _believe_any_leaf(self: Descent, prefix: str, leaf: Leaf, promised: bytes) -> None:
    _TAKE_LEAF(self, prefix, leaf, leaf.digest)


def _mend_as_shown(self: Branch, mend: Mend) -> Outcome:
    standing = self._judge(mend.head)
    if standing is not None:
        return standing
    if self.reaped or self._tree.root != mend.base:
        return Gap()
    deltas, before = self._change(mend.changes, self.preview(mend.changes)), self.dot
    self._jump(mend.head)
    return AppliedStep(self.owner, deltas, (), (), before)


_AMONG_WITHHOLDERS = replace(
    small_plan(Fault(FaultKind.ISOLATE, 3.0, 8.0, (1,)), seed=18, nodes=6, safety_s=8.0),
    villains=tuple((number, Role.WITHHOLDER) for number in range(2, 6)),
)
"""Most of those that a returning node may ask leave out half of what they are asked for."""

_BESIDE_A_LIAR = replace(
    small_plan(
        Fault(FaultKind.ISOLATE, 2.0, 10.0, (1,)), nodes=3, safety_s=10.0, operations_per_s=40.0
    ),
    villains=((2, Role.TREE_LIAR),),
)
"""Others commit so often meanwhile that states are compared, with whoever is asked first."""

MENDING: tuple[Mutant, ...] = (
    Mutant(
        "believe-the-silent",
        "a sync in which a peer showed nothing is taken for proof that nothing is lacking",
        "set_full",
        _AMONG_WITHHOLDERS,
        (
            Patch(Repair, "synced", _synced_and_sure),
            Patch(Outreach, "_withheld", _ask_nobody_else),
            *DELIVER_NOTHING,
        ),
    ),
    Mutant(
        "mend-as-shown",
        "a state is mended by the records that a peer shows, whatever hashes its owner signed",
        "authenticity",
        _BESIDE_A_LIAR,
        (
            Patch(Branch, "mend", _mend_as_shown),
            Patch(Descent, "_take_leaf", _believe_any_leaf),
            Patch(repair, "WHOLE_RECORDS_MAX", 10),  # or the cluster would have to be large
        ),
    ),
)
"""In the order of the invariants."""
