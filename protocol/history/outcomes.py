"""What may come of showing a branch something, and where our own next step will lead.

`branch` makes these values; whoever showed it something goes by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from protocol import bodies
from protocol.agreement.evidence import Evidence
from protocol.commits import NOTHING, Change, Commit, Dot, Record, RecordKey
from protocol.identity import NodeId
from protocol.merkle import Tree


class Delta(NamedTuple):
    """One record before and after."""

    key: RecordKey
    old: bodies.Body | None
    new: bodies.Body | None


@dataclass(frozen=True, slots=True)
class AppliedStep:
    """The branch moved to a newer head."""

    owner: NodeId
    deltas: tuple[Delta, ...]
    commits: tuple[Commit, ...]
    """The steps taken, oldest first; none where a manifest replaced the state or a mend led on."""
    changes: tuple[tuple[Change, ...], ...]
    """What each of them changed."""
    before: Dot = NOTHING
    """What was held before."""


@dataclass(frozen=True, slots=True)
class Known:
    """We hold this commit already."""


@dataclass(frozen=True, slots=True)
class Old:
    """Not newer than what we hold; nothing to learn from it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Newer, but we lack what lies between."""


@dataclass(frozen=True, slots=True)
class Forked:
    """The owner signed commits that cannot both stand."""

    proofs: tuple[Evidence, ...]


Outcome: TypeAlias = AppliedStep | Known | Old | Gap | Forked


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Where changes of our own lead, worked out as they were signed and kept until they land.

    It counts only where the branch is still at `base`: whoever lands it looks.
    """

    base: Tree
    """The state that they were made for."""
    tree: Tree
    """The state that they leave behind."""
    changes: tuple[Change, ...]
    records: Mapping[RecordKey, Record | None]
    bodies: Mapping[RecordKey, bodies.Body | None]
    """What `records` say, as it was judged before it was written."""
