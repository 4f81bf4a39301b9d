"""What a node stands on: its disk, memory, processor and clock.

disk-full          no room is left where its data lies
disk-errors        writes or fsyncs fail, or are slow
memory-pressure    no more than so much memory
cpu-starvation     no more than a share of one processor
clock-skew         its wall clock is off, all the time
clock-jump         its wall clock jumps there and back, over and over
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from chaos.cluster.cluster import Ability, DiskFailure, Member, member_named
from chaos.history import Life

from .fault import FaultKind, Stage, Table
from .fields import Fields
from .recurring import Recurring

MEMORY_MIB_MAX = 64 * 1024
OFFSET_MAX_S = 10 * 365 * 86_400.0
PERIOD_MAX_S = 3_600.0
STARVED_SHARE = 0.5
"""Below this share of a processor a node may be late with everything."""
_NODES = "names of nodes"


@dataclass(slots=True, eq=False)
class Bent:
    """Something is done to nodes, and undone."""

    nodes: tuple[str, ...]
    text: str
    bend: Callable[[Member], None]
    straighten: Callable[[Member], None]
    slows: bool = False
    """Whether it may keep a node from answering in time."""

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"{self.text}: {' '.join(self.nodes)}")
        for name in self.nodes:
            if self.slows:
                stage.notes.life(name, Life.PAUSED)
            self.bend(member_named(stage.cluster, name))

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        for name in self.nodes:
            self.straighten(member_named(stage.cluster, name))
            if self.slows:
                stage.notes.life(name, Life.RESUMED)


@dataclass(slots=True, eq=False)
class Jumping:
    """Clocks that jump there and back."""

    nodes: tuple[str, ...]
    offset_s: float
    every_s: float
    _going: Recurring | None = None

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        self._going = Recurring(partial(self._acts, stage))
        self._going.start()

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        going, self._going = self._going, None
        try:
            if going is not None:
                going.end()
        finally:
            self._shift(stage, 0.0)

    def _acts(self, stage: Stage, _going: Recurring) -> Iterator[float]:
        away = True
        while True:
            self._shift(stage, self.offset_s if away else 0.0)
            stage.notes.say(f"clocks of {' '.join(self.nodes)} jump {'away' if away else 'back'}")
            away = not away
            yield self.every_s

    def _shift(self, stage: Stage, offset_s: float) -> None:
        for name in self.nodes:
            member_named(stage.cluster, name).shift_clock(offset_s)


def _fail(how: DiskFailure | None, member: Member) -> None:
    member.fail_disk(how)


def _full(table: Table, names: tuple[str, ...]) -> Bent:
    nodes = _nodes_of(Fields(table), names)
    bend, straighten = partial(_fail, DiskFailure.FULL), partial(_fail, None)
    return Bent(nodes, "no room on the disk of", bend, straighten)


def _errors(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    words = [how.value for how in DiskFailure]
    word = fields.text("how", DiskFailure.WRITES.value)
    if word not in words:
        raise fields.wrong("how", f"{word!r} is none of {', '.join(words)}")
    nodes = _nodes_of(fields, names)
    how = DiskFailure(word)
    return Bent(nodes, f"the disk fails ({word}) of", partial(_fail, how), partial(_fail, None))


def _memory(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    mib = fields.whole("mib", 80, 32, MEMORY_MIB_MAX)
    nodes = _nodes_of(fields, names)
    return Bent(
        nodes, f"{mib} MiB of memory for", lambda member: member.limit(memory_bytes=mib << 20),
        lambda member: member.limit(), slows=True,
    )  # fmt: skip


def _processor(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    share = fields.number("share", 0.1, 0.01, 1.0)
    nodes = _nodes_of(fields, names)
    return Bent(
        nodes, f"{share:.0%} of a processor for", lambda member: member.limit(cpu_share=share),
        lambda member: member.limit(), slows=share < STARVED_SHARE,
    )  # fmt: skip


def _skew(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    offset_s, nodes = _offset_of(fields), _nodes_of(fields, names, end=False)
    fields.end()
    return Bent(
        nodes, f"a clock that is {offset_s:+g} s off for",
        lambda member: member.shift_clock(offset_s), lambda member: member.shift_clock(0.0),
    )  # fmt: skip


def _jump(table: Table, names: tuple[str, ...]) -> Jumping:
    fields = Fields(table)
    offset_s, every_s = _offset_of(fields), fields.seconds("every", 4.0, PERIOD_MAX_S)
    return Jumping(_nodes_of(fields, names), offset_s, every_s)


def _offset_of(fields: Fields) -> float:
    offset_s = fields.seconds("offset", None, OFFSET_MAX_S)
    return -offset_s if fields.flag("behind", default=False) else offset_s


def _nodes_of(fields: Fields, names: tuple[str, ...], *, end: bool = True) -> tuple[str, ...]:
    nodes = fields.nodes("nodes", names)
    if end:
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
