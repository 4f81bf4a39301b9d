"""Each key as a register that only its owner's node writes: what may be shown, and from when on.

A write takes effect at some moment between its invocation and its end. It *precedes* another that
was invoked after that end. What must be known at a moment is told by one number, the *floor*: the
newest invocation among the writes that must be known then. A value is too old if its write ended
before the floor; absence counts as the value of a deregistration, or of never having been there.

    ok ............ ends when it was acknowledged; nothing older may be shown once it must be known
    failed ........ was not done: its value may never be shown
    indefinite .... may take effect until the owner's process ends; never must, always may be shown

Rules this module keeps:

1. A write that its owner may have forgotten raises no floor. That is so where the owner's disk was
   damaged after the acknowledgement, unless a *keeper* had it: an honest node of the core, other
   than the owner, that took the owner's commit (or a later one) before the damage, ran on long
   enough to store it, and whose own disk was not damaged later.
2. Of an owner outside the core, what no keeper holds is lost with it and raises no floor; what one
   holds, the core knows. If its disk was ever damaged it may have forked and gone without merging:
   nothing is demanded of it then.
3. Villains and strangers have no registers: what they say of themselves is not judged.
"""

import bisect
import enum
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chaos.history import Action, History, Key, Operation, Outcome

from .casebook import moment
from .limits import Limits
from .lives import Process

NOTHING_KNOWN = -math.inf
"""The floor where no write must be known."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write that was or may have been done."""

    number: int
    removes: bool
    invoked_s: float
    acked_s: float
    """Infinite where it is indefinite."""
    end_s: float
    """From here on it does not take effect any more."""
    holds_from_s: float
    """When the cluster holds it for good; infinite where it may be forgotten."""

    def __str__(self) -> str:
        verb = "deregistration" if self.removes else "write"
        return f"{verb} {self.number}, acknowledged at {moment(self.acked_s)}"


class Judgement(enum.Enum):
    """What a node showed of a key, against what it had to know."""

    RIGHT = "right"
    MISSING = "missing"
    """Not there, and it must be."""
    OLDER = "older"
    """A value that a newer one replaced."""
    BACK = "back"
    """There, and it must not be: it was deregistered."""
    FOREIGN = "foreign"
    """A value that nobody wrote, or whose write failed, or that was not yet asked for."""


class Register:
    """All writes of one key."""

    def __init__(self, key: Key, writes: Sequence[Write]) -> None:
        self.key = key
        self.writes = {write.number: write for write in writes}
        by_end = sorted(writes, key=lambda write: -write.end_s)
        self._sets = [write for write in by_end if not write.removes]
        self._removals = [write for write in by_end if write.removes]
        self._acked = _Floors((write.acked_s, write.invoked_s) for write in writes)
        self._by_invocation = {w.invoked_s: w for w in writes if w.acked_s < math.inf}
        self._held = _Floors((write.holds_from_s, write.invoked_s) for write in writes)

    def acked_floor(self, before_s: float) -> float:
        """What its owner must know: all that it acknowledged before that moment."""
        return self._acked.before(before_s)

    def held_floor(self, before_s: float) -> float:
        """What the cluster had for good before that moment."""
        return self._held.before(before_s)

    def judge(self, value: int | None, *, floor_s: float, by_s: float) -> Judgement:
        """Whether a value, or none, may be shown by `by_s` if all up to the floor is known."""
        if value is None:
            absent = floor_s == NOTHING_KNOWN or _any_since(self._removals, floor_s, by_s)
            return Judgement.RIGHT if absent else Judgement.MISSING
        write = self.writes.get(value)
        if write is None or write.removes or write.invoked_s > by_s:
            return Judgement.FOREIGN
        if write.end_s >= floor_s:
            return Judgement.RIGHT
        replaced = _any_since(self._sets, floor_s, by_s)
        return Judgement.OLDER if replaced else Judgement.BACK

    def must_be_gone(self, floor_s: float) -> bool:
        """Whether no write that may stand leaves the key there."""
        return not _any_since(self._sets, floor_s, math.inf)

    def newest_up_to(self, floor_s: float) -> Write | None:
        """The write that set this floor, for a witness."""
        return self._by_invocation.get(floor_s)


class _Floors:
    """The newest invocation among all writes known before a moment."""

    def __init__(self, known_and_invoked: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(pair for pair in known_and_invoked if pair[0] < math.inf)
        self._known_s = [known for known, _ in ordered]
        self._floors_s = list(itertools.accumulate((invoked for _, invoked in ordered), max))

    def before(self, moment_s: float) -> float:
        place = bisect.bisect_left(self._known_s, moment_s)
        return self._floors_s[place - 1] if place else NOTHING_KNOWN


def _any_since(by_end: list[Write], floor_s: float, by_s: float) -> bool:
    for write in by_end:
        if write.end_s < floor_s:
            return False
        if write.invoked_s <= by_s:
            return True
    return False


@dataclass(slots=True)
class Registers:
    """All keys of honest owners that were written."""

    by_key: dict[Key, Register] = field(default_factory=dict)
    by_name: dict[str, list[Register]] = field(default_factory=dict)


def registers(history: History, limits: Limits, lives: dict[str, Process]) -> Registers:
    """Read them from the operations; linear but for the sorting."""
    honest = honest_nodes(history)
    written: dict[Key, list[Operation]] = {}
    for operation in history.operations:
        if operation.key is not None and operation.key.owner in honest:
            written.setdefault(operation.key, []).append(operation)
    keepers = _Keepers(history, limits, lives, {key.owner: None for key in written})
    made = Registers()
    for key, operations in sorted(written.items(), key=lambda item: str(item[0])):
        process = lives[key.owner]
        done = [one for one in operations if one.outcome is not Outcome.FAILED]
        register = Register(key, [_write(one, key.owner, process, keepers) for one in done])
        made.by_key[key] = register
        made.by_name.setdefault(key.name, []).append(register)
    return made


def _write(operation: Operation, owner: str, process: Process, keepers: "_Keepers") -> Write:
    removes = operation.action is Action.DEREGISTER
    invoked_s = operation.invoked_s
    if operation.outcome is Outcome.INDEFINITE:
        end_s = process.next_end_s(invoked_s)
        return Write(operation.number, removes, invoked_s, math.inf, end_s, math.inf)
    acked_s = operation.completed_s
    holds_from_s = keepers.holds_from_s(owner, process, acked_s)
    return Write(operation.number, removes, invoked_s, acked_s, acked_s, holds_from_s)


def honest_nodes(history: History) -> dict[str, None]:
    """All nodes but the villains, in their order."""
    villains = frozenset(history.villains)
    return {node: None for node in history.nodes if node not in villains}


def signed_at(history: History) -> dict[tuple[str, str], float]:
    """When each `(owner, commit)` was signed."""
    return {(one.owner, one.commit): one.at_s for one in history.signed}


class _Keepers:
    """Who else held what an owner had signed, where that matters."""

    def __init__(
        self, history: History, limits: Limits, lives: dict[str, Process], owners: dict[str, None]
    ) -> None:
        honest = honest_nodes(history)
        self._core = {node: None for node in history.core if node in honest}
        needed = {o: None for o in owners if o not in self._core or lives[o].damages_s}
        self._signed_s: dict[str, list[float]] = {owner: [] for owner in needed}
        times: dict[tuple[str, str], float] = {}
        for one in history.signed if needed else ():
            if one.owner in needed:
                self._signed_s[one.owner].append(one.at_s)
                times[one.owner, one.commit] = one.at_s
        taken: dict[str, list[tuple[float, float]]] = {owner: [] for owner in needed}
        for accepted in history.accepted if needed else ():
            node, at_s = accepted.node, accepted.at_s
            signed_s = times.get((accepted.owner, accepted.commit))
            if signed_s is None or node not in self._core:
                continue
            process = lives[node]
            # Its own disk keeps nothing: it is the one that was damaged, or is outside the core.
            stored = process.next_end_s(at_s) > at_s + limits.kept_after_s
            if stored and process.next_damage_s(at_s) == math.inf:
                taken[accepted.owner].append((signed_s, at_s))
        self._taken_s: dict[str, list[float]] = {}
        self._earliest_s: dict[str, list[float]] = {}
        for owner, pairs in taken.items():
            pairs.sort()
            backwards = itertools.accumulate((at_s for _, at_s in reversed(pairs)), min)
            self._taken_s[owner] = [signed_s for signed_s, _ in pairs]
            self._earliest_s[owner] = list(backwards)[::-1]
            self._signed_s[owner].sort()

    def holds_from_s(self, owner: str, process: Process, acked_s: float) -> float:
        """From when on the cluster has for good what this owner had acknowledged by then."""
        damaged_s = process.next_damage_s(acked_s)
        if owner in self._core:
            safe = damaged_s == math.inf or self._kept_s(owner, acked_s) < damaged_s
            return acked_s if safe else math.inf
        return math.inf if process.damages_s else max(acked_s, self._kept_s(owner, acked_s))

    def _kept_s(self, owner: str, acked_s: float) -> float:
        """When the first keeper took the newest commit signed by then, or a later one.

        An acknowledgement follows the signature, so that commit covers what was acknowledged. It
        may be one commit too new, which excuses a little more, never less.
        """
        signed = self._signed_s[owner]
        place = bisect.bisect_right(signed, acked_s)
        if not place:
            return math.inf
        kept = bisect.bisect_left(self._taken_s[owner], signed[place - 1])
        return self._earliest_s[owner][kept] if kept < len(self._earliest_s[owner]) else math.inf
