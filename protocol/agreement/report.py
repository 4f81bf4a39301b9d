"""What is written down of one partition, as one node saw it: plain values.

`partitions` fills them in, from the first member cut off to equal knowledge on both sides; the API
shows them.
"""

import enum
from dataclasses import dataclass, field

from protocol.clocks import Instant
from protocol.commits import Dot, RecordKey
from protocol.detector.partition import Partition
from protocol.identity import NodeId

from .changelog import Became
from .split import SplitAnswer

_GRAVITY = (Partition.NONE, Partition.MAJORITY, Partition.EVEN, Partition.MINORITY)


class Outcome(enum.Enum):
    """What became of a member that was cut off."""

    AWAY = "away"
    BACK = "back"
    DEAD = "dead"
    LEFT = "left"
    """It said itself that it stops or leaves."""


@dataclass(slots=True)
class Cut:
    """One member that was cut off, or down."""

    node: NodeId
    name: str
    since: Instant
    incarnation: int
    certified: bool
    outcome: Outcome = Outcome.AWAY
    back_at: Instant | None = None
    missed_s: float = 0.0
    """When it was found to be away, the last time."""
    start: int = 0
    """Where our log stood when it was found to be away."""
    met: Instant | None = None
    """When word came from it again."""
    mark: int = 0
    """Where our log stood then."""
    doubted: tuple[NodeId, ...] = ()
    """Who else was under suspicion then, and may have been away too."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """One record that the sides did not both have."""

    owner: NodeId
    key: RecordKey
    here: bool
    """Whether its owner was on our side all the time."""
    became: Became
    version: int


@dataclass(frozen=True, slots=True)
class Contested:
    """A document that was written on both sides, as it stood when all of it was held again."""

    key: str
    field: str
    """A field with several values; empty: all edits merged by themselves."""
    rule: str
    """How the value that is shown meanwhile was chosen."""


@dataclass(slots=True)
class Episode:
    """One partition, as seen from here."""

    number: int
    began: Instant
    cuts: dict[NodeId, Cut] = field(default_factory=dict)
    away: int = 0
    """How many are cut off still."""
    sides: list[tuple[Partition, Instant]] = field(default_factory=list)
    hint: tuple[float, int] | None = None
    """When a commit of one that is away came by way of a third, and where our log stood."""
    contact: Instant | None = None
    heard_s: float = 0.0
    """When somebody was met again, or came back, last."""
    reconciled: Instant | None = None
    exact: bool = True
    diverged: dict[tuple[NodeId, RecordKey], Diverged] = field(default_factory=dict)
    left: int = 0
    """Diverged records that are only counted."""
    forks: dict[NodeId, None] = field(default_factory=dict)
    """Owners whose forks were found meanwhile."""
    contested: list[Contested] = field(default_factory=list)
    asked: int = 0
    asking: NodeId | None = None
    to_ask: dict[NodeId, None] = field(default_factory=dict)
    spoken: dict[NodeId, None] = field(default_factory=dict)
    """Members that one of their group has answered for."""
    unspoken: dict[NodeId, SplitAnswer | None] = field(default_factory=dict)
    """Who is back and nobody answered for, with the answer that was not exact, if there was one."""
    pending: dict[NodeId, Dot] = field(default_factory=dict)
    """What others held at the contact and we do not yet hold."""

    @property
    def side(self) -> Partition:
        """The worst that we were on."""
        return max((side for side, _ in self.sides), key=_GRAVITY.index, default=Partition.NONE)

    @property
    def open(self) -> bool:
        """Whether it goes on: somebody is away, or not all is known again on both sides."""
        return self.away > 0 or (self.contact is not None and self.reconciled is None)
