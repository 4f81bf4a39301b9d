"""The evidence that is kept: which forks were found, when, by whom, and what settled them.

Evidence must outlive the dispute that it opened and the process that heard it: a dispute survives a
restart, a node that was away learns of it, and what was settled long ago can still be shown.

Rules this module keeps:

1. Of each owner the newest `CASES_PER_OWNER_MAX` cases are kept, of all together `CASES_MAX`.
2. What is newer is decided by the signed versions and hashes, never by when a node heard of it. So
   nodes that heard the same evidence keep the same, and what fell out does not come in again.
3. A case is settled once, by a signed merge or by a rotation, and never opens again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocol.commits import Dot, Head, digest
from protocol.identity import NodeId
from protocol.limits import VERSION_MAX

from .evidence import AnyEvidence, KeyFork

CASES_PER_OWNER_MAX = 8
CASES_MAX = 1_000
REPORTED_MAX = 64
"""Cases told in one sync: the open ones first, then what was found last."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What ended a dispute."""

    at: int
    """Unix microseconds, by this node's clock, when it heard of it."""
    epoch: int
    """Of the key that signed the merge, or that was rotated to."""
    merge: Head | None
    """The commit of two parents; None where a rotation shut the fork out."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Evidence as one node tells another in a sync, with the merge that settled it, if any did."""

    evidence: AnyEvidence
    merge: Head | None


@dataclass(frozen=True, slots=True)
class Case:
    """One fork, and what this node knows of it."""

    evidence: AnyEvidence
    found_at: int
    """Unix microseconds, by this node's clock."""
    reported_by: NodeId | None
    """Who brought it, or the half that we lacked; None where nobody is known."""
    settlement: Settlement | None = None

    @property
    def id(self) -> bytes:
        """The hash of the proof; the same on every node."""
        return digest(self.evidence.pack())

    @property
    def owner(self) -> NodeId:
        """Who forked."""
        return self.evidence.owner

    @property
    def open(self) -> bool:
        """Whether nothing has settled it yet."""
        return self.settlement is None

    @property
    def dot(self) -> Dot:
        """The newer of the two commits: what settles it is newer still.

        Of two key events it is the end of their epoch: only the next rotation settles them.
        """
        if isinstance(self.evidence, KeyFork):
            return Dot(self.evidence.sequence, VERSION_MAX)
        return max(self.evidence.first.dot, self.evidence.second.dot)


@dataclass(frozen=True, slots=True)
class Added:
    """A case was taken in; `dropped` are the ids of those that made room for it."""

    case: Case
    dropped: tuple[bytes, ...]


class Docket:
    """All cases of one node. Only `intake` changes it; anyone may read."""

    def __init__(self) -> None:
        self._owners: dict[NodeId, dict[bytes, Case]] = {}
        self._length = 0

    def __len__(self) -> int:
        """How many cases are kept."""
        return self._length

    def holds(self, evidence: AnyEvidence) -> bool:
        """Whether this fork is kept."""
        return digest(evidence.pack()) in self._owners.get(evidence.owner, {})

    def concerns(self, owner: NodeId) -> bool:
        """Whether any case of that owner is kept. Of nearly every owner there is none."""
        return owner in self._owners

    def cases(self, owner: NodeId | None = None) -> Iterator[Case]:
        """All cases, or those of one owner, in the order they were taken in."""
        if owner is not None:
            yield from self._owners.get(owner, {}).values()
            return
        for cases in self._owners.values():
            yield from cases.values()

    def open_cases(self, owner: NodeId) -> list[Case]:
        """What stands unsettled against an owner."""
        return [case for case in self._owners.get(owner, {}).values() if case.open]

    def reported(self) -> tuple[Reported, ...]:
        """What a sync tells of: the open ones first, then what was found last."""
        newest = sorted(self.cases(), key=lambda case: (not case.open, -case.found_at, case.id))
        return tuple(
            Reported(case.evidence, case.settlement.merge if case.settlement else None)
            for case in newest[:REPORTED_MAX]
        )

    def add(self, case: Case) -> Added | None:
        """Take in a case; None if it is kept already or older than all that are kept."""
        cases = self._owners.setdefault(case.owner, {})
        if case.id in cases:
            return None
        cases[case.id] = case
        self._length += 1
        dropped: list[Case] = []
        if len(cases) > CASES_PER_OWNER_MAX:
            dropped.append(min(cases.values(), key=_age))
        elif self._length > CASES_MAX:
            dropped.append(min(self.cases(), key=_age))
        for old in dropped:
            self._drop(old)
        if case in dropped:
            return None
        return Added(case, tuple(old.id for old in dropped))

    def settle(self, owner: NodeId, through: Dot, settlement: Settlement) -> Sequence[Case]:
        """Everything of that owner older than `through` is settled; the cases that are now."""
        cases = self._owners.get(owner, {})
        settled = [
            replace(case, settlement=settlement)
            for case in cases.values()
            if case.open and case.dot < through
        ]
        for case in settled:
            cases[case.id] = case
        return settled

    def _drop(self, case: Case) -> None:
        cases = self._owners[case.owner]
        del cases[case.id]
        self._length -= 1
        if not cases:
            del self._owners[case.owner]


def _age(case: Case) -> tuple[int, bytes]:
    return case.dot.version, case.id
