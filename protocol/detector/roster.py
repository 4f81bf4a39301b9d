"""The members this node knows, by status, and on the rings.

Every change of a member's status is made here, in `move`, so the counts, the rings and what is
told to the world cannot disagree:

    ALIVE ──a vote──▶ SUSPECT ──majority, or our own check──▶ UNREACHABLE ──evict_after──▶ DEAD
      ▲                  │                                        │                         │
      └──────────────────┴── a newer pair from the member itself ─┴─────────────────────────┘
    any ── its own signed word ──▶ STOPPING ──grace──▶ UNREACHABLE ──▶ DEAD, or LEFT
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace

from protocol.identity import NodeId
from protocol.shared.layered import Layered

from .detection import MembershipEffect, Pair, Reaped, SignedAck, Status, StatusChanged
from .partition import Partition, partition_of
from .rings import Orders, Rings, SharedOrders

NEVER = float("-inf")
GONE = (Status.DEAD, Status.LEFT, Status.STOPPING)
"""Not on the rings, not voted about."""


@dataclass(frozen=True, slots=True)
class MemberView:
    """What this node believes of one member, for people and programs.

    `since` is when `status` last changed, in seconds of the clock that `now` comes from; `votes`
    are the authors of all votes that stand against it, `observers` those whose votes count, and
    `needed` so many of them certify.
    """

    node: NodeId
    status: Status
    certified: bool
    incarnation: int
    rtt_s: float | None
    since: float
    votes: tuple[NodeId, ...]
    observers: tuple[NodeId, ...]
    needed: int


@dataclass(slots=True)
class Member:
    """What this node knows of another. Times are in seconds of our own clock.

    `proof` is the newest pair that came straight from it or signed by it: older votes are void.
    `known` is the newest pair at all; `beat` and `acked` the newest heartbeat and answer, against
    replays; `measured_at` is when `rtt_s` last was. `farewell` is the incarnation in which it said
    that it stops or leaves, or −1.
    """

    node: NodeId
    incarnation: int
    status: Status
    since: float
    certified: bool = False
    known: Pair = (0, 0)
    proof: Pair = (0, 0)
    beat: Pair = (-1, 0)
    acked: Pair = (-1, 0)
    ack: SignedAck | None = None
    nonce: int = -1
    heard_at: float = NEVER
    beat_at: float = NEVER
    contact_at: float = NEVER
    proved_at: float = NEVER
    rtt_s: float | None = None
    measured_at: float = NEVER
    farewell: int = -1

    @property
    def gone(self) -> bool:
        """Dead, or gone by its own word."""
        return self.status in GONE

    @property
    def told(self) -> bool:
        """Whether to send it gossip: not where it would be lost."""
        return self.status is Status.ALIVE or self.status is Status.SUSPECT

    def measured(self, rtt_s: float, *, now: float) -> None:
        """One round trip was measured; what is kept is smoothed over some eight of them."""
        self.rtt_s = rtt_s if self.rtt_s is None else self.rtt_s + (rtt_s - self.rtt_s) / 8
        self.measured_at = now

    def view(
        self, *, votes: tuple[NodeId, ...], observers: tuple[NodeId, ...], needed: int
    ) -> MemberView:
        """What is fit to be shown."""
        return MemberView(
            node=self.node,
            status=self.status,
            certified=self.certified,
            incarnation=self.incarnation,
            rtt_s=self.rtt_s,
            since=self.since,
            votes=votes,
            observers=observers,
            needed=needed,
        )


@dataclass(frozen=True, slots=True)
class Assembly:
    """Nodes that all know each other and live: where the roster of each of them may begin.

    Shared by those rosters, which copy what they change. `ids` are in their order.
    """

    members: Mapping[NodeId, Member]
    ids: tuple[NodeId, ...]
    orders: SharedOrders

    @classmethod
    def of(cls, incarnations: Mapping[NodeId, int], rings: int, *, now: float) -> "Assembly":
        """Everybody with the incarnation of its record, alive since `now`, on so many rings."""
        members = {node: newcomer(node, number, now) for node, number in incarnations.items()}
        return cls(members, tuple(sorted(members)), SharedOrders.of(members, rings))


def newcomer(node: NodeId, incarnation: int, now: float) -> Member:
    """One that is taken for alive since its record says so; nothing was heard of it yet."""
    pair = incarnation, 0
    return Member(node, incarnation, Status.ALIVE, now, known=pair, proof=pair)


class Roster:
    """All members but this node itself, which is on the rings and counted as reached."""

    def __init__(self, me: NodeId, rings: int, assembly: Assembly | None = None) -> None:
        self.me = me
        self._members: MutableMapping[NodeId, Member] = {}
        self._alive: MutableMapping[NodeId, Member] = {}
        self._shared: Mapping[NodeId, Member] = {}
        """Members that are not ours to change: copied when somebody asks for one of them."""
        self._sorted: tuple[NodeId, ...] | None = (me,)
        """None until somebody asks again."""
        self._nearest: dict[int, tuple[NodeId, ...]] = {}
        """What `nearest` said; nothing until somebody asks again."""
        self._excused = 0
        if assembly is None:
            self.rings = Rings(Orders(rings))
            self.rings.add(me)
        else:
            self.rings = Rings(assembly.orders)
            self._shared, self._sorted = assembly.members, assembly.ids
            self._members, self._alive = Layered(self._shared), Layered(self._shared)
            del self._members[me], self._alive[me]
        self._suspect: dict[NodeId, Member] = {}
        self._unreachable: dict[NodeId, Member] = {}
        self._by_status: dict[Status, MutableMapping[NodeId, Member]] = {
            Status.ALIVE: self._alive,
            Status.SUSPECT: self._suspect,
            Status.UNREACHABLE: self._unreachable,
            Status.DEAD: {},
            Status.STOPPING: {},
            Status.LEFT: {},
        }
        """All of the same; those above also under names, since they are counted all the time."""

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._members

    def get(self, node: NodeId) -> Member | None:
        """The member, or None for an unknown one and for ourselves."""
        member = self._members.get(node)
        if self._shared and member is not None and member is self._shared.get(node):
            member = self._members[node] = self._by_status[member.status][node] = replace(member)
        return member

    def having(self, status: Status) -> Mapping[NodeId, Member]:
        """All of that status, in the order in which they came to it. To be read only."""
        return self._by_status[status]

    def sorted_ids(self) -> tuple[NodeId, ...]:
        """Everybody, ourselves included, in the order of ids."""
        if self._sorted is None:
            self._sorted = tuple(sorted([self.me, *self._members]))
        return self._sorted

    def reached(self, node: NodeId) -> bool:
        """Whether it is here, alive or merely suspect."""
        member = self._members.get(node)
        return member is not None and member.told

    def nearest(self, count: int) -> tuple[NodeId, ...]:
        """Our successors on the first `count` rings, distinct, only such as we reach."""
        if count not in self._nearest:
            self._nearest[count] = self.rings.neighbours(self.me, count, self.reached)
        return self._nearest[count]

    @property
    def reached_count(self) -> int:
        """How many are alive or suspect, ourselves included."""
        return 1 + len(self._alive) + len(self._suspect)

    @property
    def known_count(self) -> int:
        """How many we last knew: those reached, and those unreachable against their own word."""
        return self.reached_count + len(self._unreachable) - self._excused

    def partition(self) -> Partition:
        """Which side of the cluster we are on. Costs nothing: it is asked at each lookup."""
        if not self._unreachable:
            return Partition.NONE
        return partition_of(reached=self.reached_count, known=self.known_count)

    def may_bury(self) -> bool:
        """Whether we reach strictly more than half of those we knew, and they are three or more."""
        return self.known_count > 2 and 2 * self.reached_count > self.known_count

    def add(self, member: Member) -> list[MembershipEffect]:
        """Take in one never heard of."""
        self._members[member.node] = member
        self._sorted = None
        self._enter(member)
        return [StatusChanged(member.node, None, member.status, member.certified)]

    def move(
        self,
        member: Member,
        status: Status,
        *,
        certified: bool = False,
        farewell: int | None = None,
        now: float,
    ) -> list[MembershipEffect]:
        """Believe something else of a member; nothing happens if we do already."""
        old = member.status
        said = member.farewell if farewell is None else farewell
        if (old, member.certified, member.farewell) == (status, certified, said):
            return []
        self._exit(member)
        if old is not status:
            member.since = now
        told = old is not status or member.certified != certified
        member.status, member.certified, member.farewell = status, certified, said
        self._enter(member)
        if not told:
            return []
        return [StatusChanged(member.node, old, status, certified)]

    def remove(self, member: Member) -> list[MembershipEffect]:
        """Know it no more."""
        self._exit(member)
        self.rings.remove(member.node)
        del self._members[member.node]
        self._sorted = None
        return [Reaped(member.node)]

    def _enter(self, member: Member) -> None:
        self._nearest.clear()
        self._by_status[member.status][member.node] = member
        if member.status is Status.UNREACHABLE and member.farewell >= 0:
            self._excused += 1
        # Who said that it stops sends no heartbeats and cannot observe; it comes back by a record.
        if member.gone or member.farewell >= 0:
            self.rings.remove(member.node)
        else:
            self.rings.add(member.node)

    def _exit(self, member: Member) -> None:
        self._nearest.clear()
        if member.status is Status.UNREACHABLE and member.farewell >= 0:
            self._excused -= 1
        del self._by_status[member.status][member.node]
