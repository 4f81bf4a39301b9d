"""What happened here, in order: every change once, kept for a while for those who come back.

    journal, driver ─▶ Record.note ─▶ ring ─▶ `Streams`: each stream has a place in the ring

Rules this module keeps:

1. Events say what lookups show: an instance whose owner stops is `removed` for them, and
   `registered` when it is back; health counts the owner's reachability and disputes in.
2. Nothing is noted while nobody listens, nor some minutes after: the first stream begins it.
3. The ring is bounded. What left it is lost, and whoever asks for it is told so (`reset`).
4. An event is encoded once, and not while the machine waits.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import orjson

from node.times import format_us
from protocol.events import MemberChanged, Parted
from protocol.identity import NodeId, id_text, short_id
from protocol.peer import Peer
from protocol.records import ServiceRecord
from protocol.shared.journal import InstanceStep, Journal, OwnerStep, Step

from .seeing import GONE, is_critical, seen_health

Kind: TypeAlias = Literal["registered", "changed", "health", "removed", "member", "partition"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Fields: TypeAlias = dict[str, object]


@dataclass(slots=True)
class Event:
    """One thing that happened."""

    number: int
    kind: Kind
    service: str
    """Empty where it is about no service."""
    fields: Fields | None
    """None once it is encoded."""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class _Sight:
    """How an owner makes all its instances be seen."""

    is_shown: bool
    is_critical: bool
    is_disputed: bool


class Record:
    """The events of this life of the node; one for the whole node.

    Args:
        peer: The machine, for reading.
        journal: What the registry notes.
        life: Names this node and this life of it; what ids begin with.
        events_max: How many are kept.
    """

    def __init__(self, peer: Peer, journal: Journal, *, life: str, events_max: int) -> None:
        self.counts: Counter[Kind] = Counter()
        self._peer = peer
        self._journal = journal
        self._life = life
        self._ring: deque[Event] = deque(maxlen=events_max)
        self._next = 1
        self._sights: dict[NodeId, _Sight] = {}
        self._side = ""

    @property
    def is_on(self) -> bool:
        """Whether events are noted."""
        return self._journal.keeps_steps

    @property
    def next_number(self) -> int:
        """The number of the next event."""
        return self._next

    @property
    def first_number(self) -> int:
        """The number of the oldest event that is kept; of the next one, if none is."""
        return self._ring[0].number if self._ring else self._next

    def start(self) -> None:
        """Note events from here on."""
        if not self.is_on:
            self._journal.keeps_steps = True
            self._sights = {owner: self._sight(owner) for owner in self._peer.registry.owners()}
            self._side = self._peer.membership.partition().value

    def stop(self) -> None:
        """Note none any more, and forget those there are. A gap in the numbers tells it."""
        self._journal.keeps_steps = False
        self._sights = {}
        self._ring.clear()
        self._next += 1

    def id_of(self, number: int) -> str:
        """The id of an event, as clients see it."""
        return f"{self._life}-{number}"

    def after(self, event_id: str) -> int | None:
        """The number that follows an id; None if what followed it is not kept, or never was."""
        life, _, digits = event_id.rpartition("-")
        if life != self._life or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            return None
        number = int(digits) + 1
        return number if self.first_number <= number <= self._next else None

    def since(self, number: int) -> Iterator[Event]:
        """The events from that number on that are kept."""
        skipped = number - self.first_number
        for place in range(max(0, skipped), len(self._ring)):
            yield self._ring[place]

    def encoded(self, event: Event) -> bytes:
        """An event as server-sent events are written."""
        if event.fields is not None:
            data = orjson.dumps({"kind": event.kind, **event.fields})
            head = f"id: {self.id_of(event.number)}\nevent: {event.kind}\ndata: "
            event.data, event.fields = b"%b%b\n\n" % (head.encode(), data), None
        return event.data

    def happened(self, what: MemberChanged | Parted, *, at_us: int) -> None:
        """Note what the machine told."""
        if not self.is_on:
            return
        match what:
            case MemberChanged(node, old, new, certified):
                record = self._peer.registry.node(node)
                self._add("member", "", {
                    "at": format_us(at_us), "id": id_text(node),
                    "name": record.name if record else short_id(node),
                    "status": new.value, "was": old.value if old else None, "certified": certified,
                })  # fmt: skip
            case Parted(number, stage):
                side = self._side = self._peer.membership.partition().value
                self._add("partition", "", {
                    "at": format_us(at_us), "partition": side,
                    "number": number, "stage": stage.value,
                })  # fmt: skip

    def noted(self, steps: Iterable[Step], *, at_us: int) -> None:
        """Note what one input of the machine changed.

        All instances of an owner count as they were seen before; then how it is seen itself.
        """
        at = format_us(at_us)
        owners: dict[NodeId, None] = {}
        for step in steps:
            match step:
                case InstanceStep(owner, old, new):
                    self._instance(owner, old, new, at)
                case OwnerStep(owner):
                    owners[owner] = None
        for owner in owners:
            self._owner(owner, at)
        side = self._peer.membership.partition().value
        if side != self._side:
            self._add("partition", "", {"at": at, "partition": side, "was": self._side})
            self._side = side

    def _instance(
        self, owner: NodeId, old: ServiceRecord | None, new: ServiceRecord | None, at: str
    ) -> None:
        sight = self._sights.get(owner)
        if sight is None:
            sight = self._sights[owner] = self._sight(owner)
        if not sight.is_shown or old == new:
            return
        was = None if old is None else seen_health(old, is_critical=sight.is_critical).value
        if new is None:
            assert old is not None
            self._tell("removed", owner, old, at, was=was)
            return
        health = seen_health(new, is_critical=sight.is_critical).value
        kind: Kind = "registered" if old is None else "changed" if health == was else "health"
        self._tell(kind, owner, new, at, health=health, was=was)

    def _owner(self, owner: NodeId, at: str) -> None:
        before, now = self._sights.get(owner), self._sight(owner)
        self._sights[owner] = now
        if before is None or before == now:
            return
        for record in self._records(owner):
            was = seen_health(record, is_critical=before.is_critical).value
            health = seen_health(record, is_critical=now.is_critical).value
            if not now.is_shown:
                if before.is_shown:
                    self._tell("removed", owner, record, at, was=was)
            elif not before.is_shown:
                self._tell("registered", owner, record, at, health=health)
            elif health != was:
                self._tell("health", owner, record, at, health=health, was=was)
            elif before.is_disputed != now.is_disputed:
                self._tell("changed", owner, record, at, health=health, was=was)

    def _records(self, owner: NodeId) -> list[ServiceRecord]:
        branch = self._peer.registry.branch(owner)
        bodies = branch.bodies.values() if branch is not None else ()
        return [body for body in bodies if isinstance(body, ServiceRecord)]

    def _sight(self, owner: NodeId) -> _Sight:
        status = self._peer.membership.status(owner)
        branch = self._peer.registry.branch(owner)
        disputed = branch is not None and branch.disputed
        return _SIGHTS[status not in GONE, is_critical(status, disputed=disputed), disputed]

    def _tell(
        self,
        kind: Kind,
        owner: NodeId,
        record: ServiceRecord,
        at: str,
        *,
        health: str | None = None,
        was: str | None = None,
    ) -> None:
        node = self._peer.registry.node(owner)
        fields: Fields = {
            "at": at, "service": record.name, "id": record.id, "owner": id_text(owner),
            "node": node.name if node else short_id(owner), "health": health, "was": was,
            "address": record.address, "port": record.port,
        }  # fmt: skip
        if kind != "removed":
            fields |= {
                "tags": record.tags, "metadata": dict(record.metadata), "weight": record.weight,
                "version": record.version, "zone": record.zone,
            }  # fmt: skip
        self._add(kind, record.name, fields)

    def _add(self, kind: Kind, service: str, fields: Fields) -> None:
        self._ring.append(Event(self._next, kind, service, fields))
        self._next += 1
        self.counts[kind] += 1


_SIGHTS = {
    (shown, critical, disputed): _Sight(shown, critical, disputed)
    for shown in (True, False)
    for critical in (True, False)
    for disputed in (True, False)
}
