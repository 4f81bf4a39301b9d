"""What a node stands on: its disk, memory, processor and clock.

disk-full          no room is left where its data lies
disk-errors        writes or fsyncs fail, or are slow
memory-pressure    no more than so much memory
cpu-starvation     no more than a share of one processor
clock-skew         its wall clock is off, all the time
clock-jump         its wall clock jumps there and back, over and over

Rules this module keeps:

1. Whom a fault may end, it watches: that end is noted, and undone when the fault is healed.
2. Two faults that hold one node to something hold it to the lesser; each heals its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from chaos.cluster.cluster import Ability, DiskFailure, Member, member_named
from chaos.history import Life

from .fault import FaultKind, Stage, Table
from .fields import Fields
from .hands import Watch, each
from .recurring import RecurringFault

MEMORY_MIB_MAX = 64 * 1024
OFFSET_MAX_S = 10 * 365 * 86_400.0
PERIOD_MAX_S = 3_600.0
STARVED_SHARE = 0.5
"""Below this share of a processor a node may be late with everything."""
_NODES = "names of nodes"
_KEY = "holds"


Act = Callable[[Stage, Member, object], None]
"""Told the stage, whom, and by which fault."""


@dataclass(slots=True, eq=False, kw_only=True)
class Bent:
    """Something is done to nodes, and undone."""

    nodes: tuple[str, ...]
    text: str
    bend: Act
    straighten: Act
    slows: bool = False
    """Whether it may keep a node from answering in time."""
    ends: bool = False
    """Whether it may end a node, which is then started again when it is healed."""
    _bent: list[str] = field(default_factory=list, init=False)
    _watch: Watch | None = field(default=None, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"{self.text} {' '.join(self.nodes)}")
        if self.ends:
            self._watch = Watch(stage, self.nodes)
        for name in self.nodes:
            self._bent.append(name)
            if self.slows:
                stage.notes.life(name, Life.PAUSED)
            self.bend(stage, member_named(stage.cluster, name), self)

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        try:
            each(tuple(self._bent), partial(self._straighten, stage))
        finally:
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.end()

    def _straighten(self, stage: Stage, name: str) -> None:
        self.straighten(stage, member_named(stage.cluster, name), self)
        self._bent.remove(name)
        if self.slows:
            stage.notes.life(name, Life.RESUMED)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one fault lets a node have; 0: all there is."""

    memory_bytes: int = 0
    cpu_share: float = 0.0


class Holds:
    """What all faults in force let each node have; one for a stage."""

    def __init__(self) -> None:
        self._holds: dict[str, dict[object, Hold]] = {}

    @staticmethod
    def of(stage: Stage) -> "Holds":
        """The stage's own."""
        found = stage.held.get(_KEY)
        if not isinstance(found, Holds):
            found = stage.held[_KEY] = Holds()
        return found

    def put(self, member: Member, owner: object, hold: Hold | None) -> None:
        """Let a fault hold a node so, or no more. Raises ClusterError."""
        holds = self._holds.setdefault(member.name, {})
        holds.pop(owner, None)
        if hold is not None:
            holds[owner] = hold
        member.limit(
            memory_bytes=min(
                (one.memory_bytes for one in holds.values() if one.memory_bytes), default=0
            ),
            cpu_share=min((one.cpu_share for one in holds.values() if one.cpu_share), default=0.0),
        )


@dataclass(slots=True, eq=False)
class Jumping(RecurringFault):
    """Clocks that jump there and back."""

    nodes: tuple[str, ...]
    offset_s: float
    every_s: float

    def acts(self, stage: Stage) -> Iterator[float]:
        """Away, and back again."""
        away = True
        while True:
            self._shift(stage, self.offset_s if away else 0.0)
            stage.notes.say(f"clocks of {' '.join(self.nodes)} jump {'away' if away else 'back'}")
            away = not away
            yield self.every_s

    def undo(self, stage: Stage) -> None:
        """Back."""
        self._shift(stage, 0.0)

    def _shift(self, stage: Stage, offset_s: float) -> None:
        for name in self.nodes:
            member_named(stage.cluster, name).shift_clock(offset_s)


def _failing(how: DiskFailure | None) -> Act:
    return lambda _stage, member, _owner: member.fail_disk(how)


def _held(hold: Hold | None) -> Act:
    return lambda stage, member, owner: Holds.of(stage).put(member, owner, hold)


def _shifted(offset_s: float) -> Act:
    return lambda _stage, member, _owner: member.shift_clock(offset_s)


def _full(table: Table, names: tuple[str, ...]) -> Bent:
    return Bent(
        nodes=_nodes_of(Fields(table), names), text="no room on the disk of",
        bend=_failing(DiskFailure.FULL), straighten=_failing(None),
    )  # fmt: skip


def _errors(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    words = [how.value for how in DiskFailure]
    word = fields.text("how", DiskFailure.WRITES.value)
    if word not in words:
        raise fields.wrong("how", f"{word!r} is none of {', '.join(words)}")
    return Bent(
        nodes=_nodes_of(fields, names), text=f"the disk fails ({word}) of",
        bend=_failing(DiskFailure(word)), straighten=_failing(None),
        ends=word in (DiskFailure.WRITES.value, DiskFailure.SYNCS.value),
    )  # fmt: skip


def _memory(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    mib = fields.whole("mib", 80, 32, MEMORY_MIB_MAX)
    return Bent(
        nodes=_nodes_of(fields, names), text=f"{mib} MiB of memory for",
        bend=_held(Hold(memory_bytes=mib << 20)), straighten=_held(None), slows=True, ends=True,
    )  # fmt: skip


def _processor(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    share = fields.number("share", 0.1, 0.01, 1.0)
    return Bent(
        nodes=_nodes_of(fields, names), text=f"{share:.0%} of a processor for",
        bend=_held(Hold(cpu_share=share)), straighten=_held(None), slows=share < STARVED_SHARE,
    )  # fmt: skip


def _skew(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    offset_s = _offset_of(fields)
    return Bent(
        nodes=_nodes_of(fields, names), text=f"a clock that is {offset_s:+g} s off for",
        bend=_shifted(offset_s), straighten=_shifted(0.0),
    )  # fmt: skip


def _jump(table: Table, names: tuple[str, ...]) -> Jumping:
    fields = Fields(table)
    offset_s, every_s = _offset_of(fields), fields.seconds("every", 4.0, PERIOD_MAX_S)
    return Jumping(_nodes_of(fields, names), offset_s, every_s)


def _offset_of(fields: Fields) -> float:
    offset_s = fields.seconds("offset", None, OFFSET_MAX_S)
    return -offset_s if fields.flag("behind", default=False) else offset_s


def _nodes_of(fields: Fields, names: tuple[str, ...]) -> tuple[str, ...]:
    nodes = fields.nodes("nodes", names)
    fields.end()
    return nodes


def _named(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return Fields(table).nodes("nodes", names)


_OFFSET = {"offset": 'how much, "1h"', "behind": "into the past; false"}

SURROUNDINGS = (
    FaultKind(
        name="disk-full", summary="no room is left on a node's disk",
        needs=frozenset({Ability.DISK_ERRORS}), fields={"nodes": _NODES},
        read=_full, victims=_named,
    ),
    FaultKind(
        name="disk-errors", summary="writes or fsyncs of a node fail, or are slow",
        needs=frozenset({Ability.DISK_ERRORS}),
        fields={"nodes": _NODES, "how": "writes, syncs, full or slow; writes"},
        read=_errors, victims=_named,
    ),
    FaultKind(
        name="memory-pressure", summary="a node has only so much memory",
        needs=frozenset({Ability.MEMORY}),
        fields={"nodes": _NODES, "mib": "MiB of memory; 80"}, read=_memory, victims=_named,
    ),
    FaultKind(
        name="cpu-starvation", summary="a node has only a share of a processor",
        needs=frozenset({Ability.CPU}),
        fields={"nodes": _NODES, "share": "of one processor, 0.01 to 1; 0.1"},
        read=_processor, victims=_named,
    ),
    FaultKind(
        name="clock-skew", summary="a node's wall clock is off", needs=frozenset({Ability.CLOCKS}),
        fields={"nodes": _NODES, **_OFFSET}, read=_skew, victims=_named,
    ),
    FaultKind(
        name="clock-jump", summary="a node's wall clock jumps there and back",
        needs=frozenset({Ability.CLOCKS}),
        fields={"nodes": _NODES, **_OFFSET, "every": 'between two jumps, "4s"'},
        read=_jump, victims=_named,
    ),
)  # fmt: skip
