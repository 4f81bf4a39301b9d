"""Links that hold packets back: latency, jitter, duplicates, reordering.

    netem    a queue of the kernel (tc-netem(8)) for each peer, where the kernel has it
    tun      a delay line of ours in each node's network, anywhere else: `delayline`

Either works where packets leave, by the address they go to, so that each direction is held back by
itself and clients beside the nodes meet nothing of it. A table holds the sum of all faults.

Rules this module keeps:

1. By which means it is done is found out once, and said: while it runs and in the record.
2. Where nothing is held back nothing is left: no rule, device, queue or process.
3. Up to `LATE_MAX_S` links are late, beyond that they are hard.
"""

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.cluster.cluster import (
    Ability,
    ClusterError,
    Member,
    NoNetworkError,
    member_named,
)
from chaos.cluster.wires import NETEM, TUN, delay_means

from .cuts import pairs_of
from .delayline import Shape
from .egress import Egress
from .fault import FaultError, FaultKind, Stage, Table, nobody
from .fields import Fields
from .lines import Line
from .links import LATE_MAX_S, Effect, LinkTable, Pair

LATENCY_MAX_S = 10.0
SHARE_MAX = 0.9
_KEY = "delay"


class DelayTable:
    """All delays in force, by whoever put them there; one for a stage.

    Args:
        stage: whose nodes.
        means: `netem` or `tun`; without, whichever this machine has.
    """

    def __init__(self, stage: Stage, means: str = "") -> None:
        self._means = means
        self._stage = stage
        self._delays: dict[object, Mapping[Pair, Shape]] = {}
        self._lines: dict[str, Line] = {}
        self._lock = threading.RLock()

    @staticmethod
    def of(stage: Stage) -> "DelayTable":
        """The stage's own."""
        table = stage.held.get(_KEY)
        if not isinstance(table, DelayTable):
            table = stage.held[_KEY] = DelayTable(stage)
        return table

    @property
    def means(self) -> str:
        """By which it is done."""
        self._means = self._means or delay_means()
        return self._means

    def put(self, owner: object, delays: Mapping[Pair, Shape]) -> None:
        """Let a fault hold links back so from now on. Raises FaultError: do `take` it then."""
        with self._lock:
            self._delays[owner] = delays
            self._apply()

    def take(self, owner: object) -> dict[str, dict[str, float]]:
        """End what a fault holds back; harmless if that is nothing.

        Returns the figures of the lines that ended with it, by node. Raises FaultError.
        """
        with self._lock:
            self._delays.pop(owner, None)
            return self._apply()

    def again(self, name: str) -> None:
        """Give a node a new line, for its network may be a new one. Raises FaultError."""
        with self._lock:
            # It had none if it did not run when the delay began.
            if (line := self._lines.pop(name, None)) is not None:
                line.abandon()
            shapes = self.shapes(name)
            if shapes and self.means == TUN:
                member = member_named(self._stage.cluster, name)
                self._begin(member, shapes)
                self._lead(member, shapes)

    def shapes(self, name: str) -> dict[str, Shape]:
        """What the links from a node are, by the address they lead to."""
        found: dict[str, Shape] = {}
        for peer in self._stage.cluster.members:
            every = [
                one[name, peer.name] for one in self._delays.values() if (name, peer.name) in one
            ]
            if every:
                found[peer.address] = _sum(every)
        return found

    def _apply(self) -> dict[str, dict[str, float]]:
        figures: dict[str, dict[str, float]] = {}
        failed: list[str] = []
        # All are started before any is awaited: a second for all, not for each.
        acts = (self._queue,) if self.means == NETEM else (self._begin, self._lead)
        for act in acts:
            for member in self._stage.cluster.members:
                try:
                    figures[member.name] = act(member, self.shapes(member.name))
                except NoNetworkError:
                    if line := self._lines.pop(member.name, None):
                        line.abandon()
                except (FaultError, ClusterError) as error:
                    failed.append(str(error))
            if failed:
                raise FaultError("; ".join(failed))
        return {name: found for name, found in figures.items() if found}

    def _begin(self, member: Member, shapes: Mapping[str, Shape]) -> dict[str, float]:
        """Start a node's delay line, if it is to have one and has none."""
        line = self._lines.get(member.name)
        if shapes and line is not None and not line.is_running:
            self._lines.pop(member.name).abandon()
            line = None
        if shapes and line is None:
            self._lines[member.name] = Line(member, python=sys.executable)
        return {}

    def _lead(self, member: Member, shapes: Mapping[str, Shape]) -> dict[str, float]:
        """Tell a node's delay line what to do, or end it."""
        line = self._lines.get(member.name)
        if line is None:
            return {}
        if shapes:
            line.hold(shapes)
            return {}
        found = line.end()
        del self._lines[member.name]
        return found

    def _queue(self, member: Member, shapes: Mapping[str, Shape]) -> dict[str, float]:
        """Give a node's device the queues that it should have, in the place of those it has."""
        Egress.of(self._stage).hold(member, shapes)
        return {}


@dataclass(slots=True, eq=False)
class Delay:
    """Links that hold packets back."""

    delays: Mapping[Pair, Shape]
    text: str
    _injected: bool = field(default=False, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        table = DelayTable.of(stage)
        self._injected = True
        stage.means[DELAY.name] = table.means
        stage.notes.say(f"{self.text} (by {table.means})")
        worst_s = max(shape.latency_s + shape.jitter_s for shape in self.delays.values())
        is_hard = worst_s > LATE_MAX_S
        LinkTable.of(stage).put(self, Effect(hard=is_hard, late=not is_hard))
        table.put(self, self.delays)

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        if not self._injected:
            return
        try:
            figures = DelayTable.of(stage).take(self)
        finally:
            LinkTable.of(stage).take(self)
        self._injected = False
        if figures:
            stage.notes.say(_told(figures))


def _sum(shapes: list[Shape]) -> Shape:
    """Times add up; of shares the chances that none of them happens multiply."""
    once = in_order = 1.0
    for shape in shapes:
        once *= 1.0 - shape.duplicate
        in_order *= 1.0 - shape.reorder
    return Shape(
        latency_s=sum(shape.latency_s for shape in shapes),
        jitter_s=sum(shape.jitter_s for shape in shapes),
        duplicate=1.0 - once,
        reorder=1.0 - in_order,
    )


def _told(figures: Mapping[str, Mapping[str, float]]) -> str:
    every = figures.values()
    sent = sum(one["sent_count"] for one in every)
    lost = sum(one["dropped_count"] + one["failed_count"] for one in every)
    mean_s = sum(one["late_mean_s"] * one["sent_count"] for one in every) / max(1, sent)
    most_s = max(one["late_max_s"] for one in every)
    return (
        f"delay lines sent {sent:.0f} packets, {lost:.0f} were lost in them; they left "
        f"{mean_s * 1000:.2f} ms later than they were to, {most_s * 1000:.1f} ms at most"
    )


def _read(table: Table, names: tuple[str, ...]) -> Delay:
    fields = Fields(table)
    shape = Shape(
        latency_s=fields.seconds("latency", 0.0, LATENCY_MAX_S),
        jitter_s=fields.seconds("jitter", 0.0, LATENCY_MAX_S),
        duplicate=fields.number("duplicate", 0.0, 0.0, SHARE_MAX),
        reorder=fields.number("reorder", 0.0, 0.0, SHARE_MAX),
    )
    pairs = pairs_of(fields, names)
    fields.end()
    if shape == Shape():
        raise fields.wrong("latency", 'nothing is held back; write latency = "50ms", or jitter, …')
    if shape.jitter_s > shape.latency_s:
        raise fields.wrong("jitter", "it is more than the latency; no packet comes before it left")
    if shape.reorder and not shape.latency_s:
        raise fields.wrong("reorder", "nothing is overtaken without a latency")
    parts = [
        f"{shape.latency_s * 1000:g} ± {shape.jitter_s * 1000:g} ms" if shape.latency_s else "",
        f"{shape.duplicate:.0%} twice" if shape.duplicate else "",
        f"{shape.reorder:.0%} overtake" if shape.reorder else "",
    ]
    text = f"packets are held back: {', '.join(filter(None, parts))}"
    return Delay(dict.fromkeys(sorted(pairs), shape), text)


DELAY = FaultKind(
    name="delay",
    summary="packets come late, in another order, or twice",
    needs=frozenset({Ability.DELAY}),
    fields={
        "latency": 'in each direction, "50ms"; none',
        "jitter": 'so much more or less, drawn for each packet, "10ms"; none',
        "duplicate": "share that comes twice, 0 to 0.9; 0",
        "reorder": "share that is not held back and overtakes the others, 0 to 0.9; 0",
        "groups": 'only between groups of nodes, such as [["a", "b"], ["c"]]; all links',
    },
    read=_read,
    victims=nobody,
)
