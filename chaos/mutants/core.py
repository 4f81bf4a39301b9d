"""Mutants of what every cluster rests on: our own branch, the branches of others, who is here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chaos.checkers import Limits
from chaos.sim.disk import Disk
from chaos.sim.plan import Fault, FaultKind, Role
from protocol.agreement import lives
from protocol.agreement.evidence import Evidence
from protocol.agreement.lives import Merge, Side
from protocol.authoring import Authoring, InFlight
from protocol.bodies import stamp_of
from protocol.branch import Branch
from protocol.clocks import Instant, Spans
from protocol.commits import Commit, Head, Manifest, Record, RecordKey
from protocol.delivery.courier import Courier
from protocol.detector.detection import Pair, Status
from protocol.detector.roster import Member, Roster
from protocol.detector.verdicts import Judge
from protocol.detector.votes import Ballot
from protocol.dissemination import Echoes
from protocol.effects import Effect, Notify, Persist
from protocol.events import Committed
from protocol.history.outcomes import AppliedStep, Delta, Known, Old, Outcome
from protocol.identity import NodeId
from protocol.peer import Peer
from protocol.records import NodeRecord, ServiceRecord
from protocol.registry import Registry
from protocol.signing import Trust
from protocol.sync.repair import Repair

from .mutant import Mutant, Patch, small_plan

_MERGE, _MERGE_LIVES = vars(Authoring)["_merge"], lives.merge
_INDEX_SERVICE = vars(Registry)["_index_service"]
_SET_UNREACHABLE = vars(Judge)["_set_unreachable"]
_OFFER, _ADOPT = Branch.offer, Branch.adopt
_ADOPT_IN_REGISTRY = Registry.adopt
_SETTLE = Judge.settle


def _never(*_: object, **__: object) -> bool:
    return False


def _always(*_: object, **__: object) -> bool:
    return True


def _nothing(*_: object, **__: object) -> None:
    return None


def _no_forks(*_: object) -> tuple[Evidence, ...]:
    return ()


DELIVER_NOTHING = (Patch(Courier, "committed", _nothing), Patch(Courier, "_watch", _nothing))
"""Owners bring nobody what is lacking, so that a repair that is broken shows."""


# Our own branch


def _author_and_acknowledge(self: Peer, now: Instant) -> list[Effect]:
    flying = self._authoring.next(now)
    if flying is None:
        return []
    acknowledged = Notify(Committed(flying.tickets, flying.commit.head.dot))
    return [acknowledged, Persist(flying.keeps())]


def _merge_to_theirs(ours: Side, theirs: Side, **_: object) -> Merge:
    return Merge({}, {})


def _merge_this_life(
    ours: Side, theirs: Side, *, born: int, at: int, removed: Mapping[RecordKey, int]
) -> Merge:
    of_this_life = {k: r for k, r in ours.records.items() if stamp_of(r).version >= born}
    ours = replace(ours, records=of_this_life)
    return _MERGE_LIVES(ours, theirs, born=born, at=at, removed=removed)


def _know_all(head: Head, node: NodeRecord | None) -> Spans:
    return ((0, head.version),)


def _merge_the_newest(self: Authoring, theirs: Manifest, base: Branch, now: Instant) -> InFlight:
    merged: InFlight = _MERGE(self, theirs, base, now)
    self._lives = ((0, self._born - 1),)
    return merged


def _begin_by_the_wall(self: Disk, at_least: int, now: float) -> int:
    self._incarnations.append((now, at_least))
    return at_least


# The branches of others


def _offer_again(self: Branch, steps: Sequence[Commit], *, signed_here: bool = False) -> Outcome:
    outcome = _OFFER(self, steps, signed_here=signed_here)
    step = steps[-1]
    if not isinstance(outcome, Known | Old) or step.head.dot >= self.dot or self.reaped:
        return outcome
    changes, deltas = step.changes(), []
    for change in changes:
        key = RecordKey(change.kind, change.key)
        self.records.pop(key, None)
        before, after = self.bodies.pop(key, None), None
        if change.body is not None:
            self.records[key] = Record(change.kind, change.key, change.body)
            self.bodies[key] = after = self._read_body(self.records[key])
        deltas.append(Delta(key, before, after))
    records = {
        RecordKey(c.kind, c.key): self.records.get(RecordKey(c.kind, c.key)) for c in changes
    }
    self._tree, self.head = self._tree_after(records), step.head
    return AppliedStep(self.owner, tuple(deltas), (step,), (changes,))


def _adopt_and_keep(self: Branch, manifest: Manifest, *, even_older: bool = False) -> Outcome:
    records, bodies = dict(self.records), dict(self.bodies)
    outcome = _ADOPT(self, manifest, even_older=even_older)
    if not isinstance(outcome, AppliedStep):
        return outcome
    self.records, self.bodies = {**records, **self.records}, {**bodies, **self.bodies}
    return replace(outcome, deltas=tuple(one for one in outcome.deltas if one.new is not None))


def _believe_any_key(self: Head, public_key: bytes, trust: Trust) -> bool:
    return True


def _remember_all(self: Branch, steps: Sequence[Commit]) -> None:
    for step in steps:
        self._recent[step.head.hash] = step


def _adopt_under_the_old_root(
    self: Registry,
    manifest: Manifest,
    *,
    now: float,
    even_older: bool = False,
    is_old: bool = False,
) -> Outcome:
    heads = self._heads
    outcome = _ADOPT_IN_REGISTRY(self, manifest, now=now, even_older=even_older, is_old=is_old)
    if isinstance(outcome, AppliedStep):
        self._heads = heads
    return outcome


def _index_what_is_there(
    self: Registry, owner: NodeId, service: ServiceRecord, *, is_gone: bool
) -> None:
    if not is_gone:
        _INDEX_SERVICE(self, owner, service, is_gone=False)


# Who is here


def _count_twice(self: Ballot, observers: Sequence[NodeId]) -> int:
    return sum(2 for observer in observers if observer in self.findings)


def _settle_new_lives(self: Judge, member: Member, pair: Pair) -> None:
    away = member.status in (Status.UNREACHABLE, Status.DEAD)
    if not away or pair[1] == 0:  # a record of a new incarnation starts with the counter 0
        _SETTLE(self, member, pair)


def _set_unreachable_if_certified(self: Judge, member: Member, *, certified: bool) -> None:
    if certified:
        _SET_UNREACHABLE(self, member, certified=True)


_FORGETS = small_plan(
    Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=3.0),
    Fault(FaultKind.ISOLATE, 5.0, 12.0, (1,)),
    operations_per_s=24.0,
)
"""A node comes back with an old disk, hears nobody, signs on, and then meets the others again."""

_FORGETS_TWICE = small_plan(
    Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=3.0),
    Fault(FaultKind.ISOLATE, 5.0, 16.0, (1,)),
    Fault(FaultKind.CRASH, 11.0, 11.5, (1,)),
    safety_s=17.0,
    operations_per_s=6.0,
)
"""The same, and it restarts once more before it meets the others."""

_FORGETS_TWO_LIVES = small_plan(
    Fault(FaultKind.ISOLATE, 1.5, 6.0, (0,)),
    Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=3.0),
    Fault(FaultKind.ISOLATE, 5.0, 8.0, (1,)),
    Fault(FaultKind.ISOLATE, 5.0, 14.0, (2,)),
    Fault(FaultKind.OLD_DISK, 10.0, 10.5, (1,), amount=8.0),
    Fault(FaultKind.ISOLATE, 10.0, 14.0, (1,)),
    nodes=3,
    safety_s=15.0,
    operations_per_s=24.0,
)
"""A node forgets two lives, of which others hold one each."""

_CUT_OFF_TO_THE_END = small_plan(
    Fault(FaultKind.ISOLATE, 2.0, 10.0, (1,)), nodes=3, safety_s=10.0, operations_per_s=40.0
)
"""Others commit so often meanwhile that only manifests bring them level, and then no more."""

CORE: tuple[Mutant, ...] = (
    Mutant(
        "acknowledge-early",
        "a registration is acknowledged before it is on disk",
        "set_full",
        small_plan(
            Fault(FaultKind.DISK_SLOW, 2.0, 10.0, (1,), amount=0.6),
            Fault(FaultKind.CRASH, 5.0, 6.0, (1,)),
            nodes=3,
            safety_s=10.0,
            operations_per_s=20.0,
        ),
        (Patch(Peer, "_author", _author_and_acknowledge),),
    ),
    Mutant(
        "merge-to-theirs",
        "who merges a forgotten branch drops what it signed since its start",
        "set_full",
        _FORGETS,
        (Patch(lives, "merge", _merge_to_theirs),),
    ),
    Mutant(
        "merge-one-life",
        "who merges a forgotten branch drops what it signed in isolation before its last restart",
        "set_full",
        _FORGETS_TWICE,
        (Patch(lives, "merge", _merge_this_life),),
    ),
    Mutant(
        "merge-the-newest",
        "who merges a forgotten life takes all that is older for known, so other lives stay lost",
        "set_full",
        _FORGETS_TWO_LIVES,
        (Patch(Authoring, "_merge", _merge_the_newest),),
    ),
    Mutant(
        "know-all-lives",
        "a state is taken to know of all that its owner signed before, in whichever life",
        "set_full",
        _FORGETS_TWICE,
        (Patch(lives, "known_at", _know_all),),
    ),
    Mutant(
        "fork-for-gap",
        "a fork is taken for a gap, by its owner too: the newer side replaces the other",
        "set_full",
        _FORGETS,
        (Patch(Branch, "forks_with", _no_forks), Patch(Authoring, "forgot", _never)),
    ),
    Mutant(
        "keep-lacking",
        "a manifest adds and replaces, but what it lacks is kept",
        "resurrection",
        small_plan(
            Fault(FaultKind.ISOLATE, 2.0, 10.0, (1,)),
            nodes=3,
            safety_s=12.0,
            operations_per_s=40.0,
        ),
        (Patch(Branch, "adopt", _adopt_and_keep),),
    ),
    Mutant(
        "index-for-ever",
        "the index that answers lookups never drops an instance",
        "resurrection",
        small_plan(safety_s=6.0),
        (Patch(Registry, "_index_service", _index_what_is_there),),
    ),
    Mutant(
        "old-root",
        "the root is not renewed when a manifest replaces a state",
        "roots",
        _CUT_OFF_TO_THE_END,
        (Patch(Registry, "adopt", _adopt_under_the_old_root),),
    ),
    Mutant(
        "never-repair",
        "differing roots and returning members lead to no sync",
        "roots",
        small_plan(Fault(FaultKind.ISOLATE, 3.0, 8.0, (1,)), nodes=3, safety_s=8.0),
        (Patch(Repair, "_plan", _nothing), *DELIVER_NOTHING),
    ),
    Mutant(
        "back-by-incarnation",
        "as in SWIM only a new incarnation brings a member back, and none is raised",
        "false_death",
        small_plan(Fault(FaultKind.ISOLATE, 3.0, 7.0, (1,)), safety_s=8.0),
        (Patch(Judge, "settle", _settle_new_lives),),
    ),
    Mutant(
        "forget-incarnation",
        "a node that starts takes its incarnation from the wall clock, not from its disk",
        "false_death",
        small_plan(
            Fault(FaultKind.CLOCK_JUMP, 2.0, 16.0, (1,), amount=-3600.0),
            Fault(FaultKind.CRASH, 4.0, 5.0, (1,)),
            safety_s=16.0,
        ),
        (Patch(Disk, "begin_life", _begin_by_the_wall),),
    ),
    Mutant(
        "count-twice",
        "each voter is counted twice, so half a majority certifies",
        "false_death",
        replace(small_plan(safety_s=12.0), loss=0.1, villains=((3, Role.SLANDERER),)),
        (Patch(Ballot, "count", _count_twice),),
        Limits(wrongly_unreachable_s=0.02, wrongly_unreachable_lossy_s=0.02),
    ),
    Mutant(
        "bury-without-majority",
        "the dead are declared by whoever cannot reach them, not by a majority",
        "burial",
        small_plan(
            Fault(FaultKind.SPLIT, 2.0, 26.5, groups=((0, 1), (2, 3))),
            seed=2,
            safety_s=27.0,
            operations_per_s=1.0,
        ),
        (Patch(Roster, "may_bury", _always),),
    ),
    Mutant(
        "never-vote",
        "a failed check is no finding",
        "detection",
        small_plan(Fault(FaultKind.CRASH, 3.0, 12.0, (1,)), safety_s=12.0),
        (Patch(Judge, "find", _nothing),),
    ),
    Mutant(
        "certificates-only",
        "nobody is unreachable without a majority of its observers, so small sides see nothing",
        "detection",
        small_plan(Fault(FaultKind.SPLIT, 2.0, 13.0, groups=((0, 1), (2, 3, 4))), nodes=5),
        (Patch(Judge, "_set_unreachable", _set_unreachable_if_certified),),
    ),
    Mutant(
        "any-signature",
        "a commit is taken whoever signed it",
        "authenticity",
        replace(small_plan(safety_s=6.0), villains=((3, Role.FORGER),)),
        (Patch(Head, "signed_by", _believe_any_key),),
    ),
    Mutant(
        "accept-older",
        "a commit that comes again, older than the head, is applied again",
        "authenticity",
        small_plan(
            Fault(FaultKind.REPLAY, 1.0, 7.0, amount=0.3), safety_s=8.0, operations_per_s=12.0
        ),
        (Patch(Branch, "offer", _offer_again), Patch(Echoes, "hears", _never)),
    ),
    Mutant(
        "remember-all",
        "the steps of a branch that are kept for those who lag are never dropped",
        "bounded",
        small_plan(nodes=3, safety_s=8.0, operations_per_s=160.0),
        (Patch(Branch, "_remember", _remember_all),),
    ),
)
"""In the order of the invariants."""
