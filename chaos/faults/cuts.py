"""Partitions, in all shapes that networks break in.

partition        groups that reach each other no more
one-way          packets of some do not reach others; the way back is open
ring-partition   each node reaches its two neighbours in the ring of names only
isolate          some nodes reach nobody, each by itself
flap             a partition that comes and goes
swizzle          nodes are cut off one after another in drawn order, and come back in another
                 (FoundationDB's name for it)
loss             a share of all packets is lost
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from chaos.cluster.cluster import Ability

from .fault import FaultKind, Stage, Table, nobody
from .fields import Fields
from .links import Effect, LinkTable, Pair, all_pairs, between
from .recurring import RecurringFault

PERIOD_MAX_S = 3_600.0
_LINKS = frozenset({Ability.LINKS})
_NODES = "names of nodes"
_GROUPS = 'lists of nodes, such as [["a", "b"], ["c"]]; nodes in no group reach everybody'


@dataclass(slots=True, eq=False)
class Cut:
    """Links that carry nothing, or lose some."""

    effect: Effect
    text: str

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(self.text)
        LinkTable.of(stage).put(self, self.effect)

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        LinkTable.of(stage).take(self)


@dataclass(slots=True, eq=False)
class Flap(RecurringFault):
    """A cut that comes and goes."""

    cut: Cut
    down_s: float
    up_s: float

    def acts(self, stage: Stage) -> Iterator[float]:
        """Down, and up again."""
        while True:
            self.cut.inject(stage)
            yield self.down_s
            stage.notes.say("the link is back")
            self.cut.heal(stage)
            yield self.up_s

    def undo(self, stage: Stage) -> None:
        """Up."""
        self.cut.heal(stage)


@dataclass(slots=True, eq=False)
class Swizzle(RecurringFault):
    """Nodes leave one after another, and come back in another order."""

    nodes: tuple[str, ...]
    names: tuple[str, ...]
    every_s: float
    _cuts: dict[str, Cut] = field(default_factory=dict, init=False)

    def acts(self, stage: Stage) -> Iterator[float]:
        """Both orders are drawn at once, so that nothing else draws in between."""
        leaving, returning = list(self.nodes), list(self.nodes)
        stage.rng.shuffle(leaving)
        stage.rng.shuffle(returning)
        return self._turns(stage, leaving, returning)

    def undo(self, stage: Stage) -> None:
        """Who is still cut off comes back."""
        for node in list(self._cuts):
            self._cuts.pop(node).heal(stage)

    def _turns(self, stage: Stage, leaving: list[str], returning: list[str]) -> Iterator[float]:
        for node in leaving:
            others = [name for name in self.names if name != node]
            cut = self._cuts[node] = Cut(
                Effect(between(((node,), others))), f"{node} is cut off from everybody"
            )
            cut.inject(stage)
            yield self.every_s
        for node in returning:
            stage.notes.say(f"{node} is back")
            self._cuts.pop(node).heal(stage)
            yield self.every_s


def _partition(table: Table, names: tuple[str, ...]) -> Cut:
    groups = _groups(table, names)
    return Cut(Effect(between(groups)), f"cut apart: {_shown(groups)}")


def _groups(table: Table, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    fields = Fields(table)
    groups = fields.groups("groups", names)
    fields.end()
    if not groups:
        raise fields.wrong("groups", "say who is to be cut from whom")
    return groups


def _one_way(table: Table, names: tuple[str, ...]) -> Cut:
    fields = Fields(table)
    senders, receivers = fields.nodes("from", names), fields.nodes("to", names)
    fields.end()
    both = [node for node in senders if node in receivers]
    if both:
        raise fields.wrong("to", f"{both[0]} is in from, too")
    pairs = frozenset(product(senders, receivers))
    return Cut(Effect(pairs), f"nothing of {' '.join(senders)} reaches {' '.join(receivers)}")


def _ring(table: Table, names: tuple[str, ...]) -> Cut:
    fields = Fields(table)
    fields.end()
    if len(names) < 4:
        raise fields.wrong("ring-partition", "a ring that cuts anything has four nodes or more")
    count = len(names)
    neighbours = {
        (names[at], names[(at + step) % count]) for at in range(count) for step in (1, -1)
    }
    pairs = frozenset(pair for pair in all_pairs(names) if pair not in neighbours)
    return Cut(Effect(pairs), "each node reaches its two neighbours only")


def _isolate(table: Table, names: tuple[str, ...]) -> Cut:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names)
    fields.end()
    pairs = frozenset(pair for pair in all_pairs(names) if any(node in pair for node in nodes))
    return Cut(Effect(pairs), f"{' '.join(nodes)} cut off from everybody")


def _flap(table: Table, names: tuple[str, ...]) -> Flap:
    fields = Fields(table)
    down_s = fields.seconds("down", 3.0, PERIOD_MAX_S)
    up_s = fields.seconds("up", 3.0, PERIOD_MAX_S)
    return Flap(_partition(fields.rest(), names), down_s, up_s)


def _swizzle(table: Table, names: tuple[str, ...]) -> Swizzle:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    every_s = fields.seconds("every", 2.0, PERIOD_MAX_S)
    fields.end()
    return Swizzle(nodes, names, every_s)


def _loss(table: Table, names: tuple[str, ...]) -> Cut:
    fields = Fields(table)
    share = fields.number("share", 0.1, 0.0001, 0.99)
    pairs = pairs_of(fields, names)
    fields.end()
    text = f"{share:.0%} of all packets are lost"
    return Cut(Effect(loss=dict.fromkeys(sorted(pairs), share)), text)


def pairs_of(fields: Fields, names: tuple[str, ...]) -> frozenset[Pair]:
    """The links that a table is about: between its `groups`, or all. Raises as `Fields`."""
    groups = fields.groups("groups", names)
    return between(groups) if groups else all_pairs(names)


def _shown(groups: tuple[tuple[str, ...], ...]) -> str:
    return " | ".join(" ".join(group) for group in groups)


def _smaller(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    """Whoever is not in the largest group."""
    groups = Fields(table).groups("groups", names)
    largest = max(groups, key=len, default=())
    return tuple(node for group in groups if group is not largest for node in group)


def _named(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return Fields(table).nodes("nodes", names, names)


def _senders(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return Fields(table).nodes("from", names)


CUTS = (
    FaultKind(
        name="partition", summary="groups of nodes reach each other no more", needs=_LINKS,
        fields={"groups": _GROUPS}, read=_partition, victims=_smaller,
    ),
    FaultKind(
        name="one-way", summary="packets pass in one direction only", needs=_LINKS,
        fields={"from": f"{_NODES} whose packets are dropped", "to": f"{_NODES} that miss them"},
        read=_one_way, victims=_senders,
    ),
    FaultKind(
        name="ring-partition", summary="each node reaches its two neighbours only", needs=_LINKS,
        fields={}, read=_ring, victims=nobody,
    ),
    FaultKind(
        name="isolate", summary="nodes reach nobody, each by itself", needs=_LINKS,
        fields={"nodes": _NODES}, read=_isolate, victims=_named,
    ),
    FaultKind(
        name="flap", summary="a partition comes and goes", needs=_LINKS,
        fields={"groups": _GROUPS, "down": 'how long it lasts, "3s"', "up": 'and is gone, "3s"'},
        read=_flap, victims=_smaller,
    ),
    FaultKind(
        name="swizzle", summary="nodes are cut off one by one, and come back in another order",
        needs=_LINKS,
        fields={"nodes": f"{_NODES}; all", "every": 'between two of them, "2s"'},
        read=_swizzle, victims=_named,
    ),
    FaultKind(
        name="loss", summary="a share of all packets is lost", needs=_LINKS,
        fields={"share": "0.0001 to 0.99; 0.1", "groups": f"{_GROUPS}; without it all links"},
        read=_loss, victims=nobody,
    ),
)  # fmt: skip
