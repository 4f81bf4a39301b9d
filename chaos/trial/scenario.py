"""What can happen to a cluster in a trial, and who ought to notice.

A scenario is written `kind` or `kind:amount`, where an amount below one is a share of the nodes
(at least one node) and any other a count:

- `quiet`: nothing happens.
- `crash:A`: that many stop without a word. `restart:A`: the same, and start anew after 4 s.
- `split:A`: that many on one side. `oin:A`, `oout:A`: that many are deaf, or mute, to the rest.
- `ring`: each hears half of the others, its neighbours on a circle. `bridge`: halves apart but for
  one node, which both hear.
- `lie:A`: that many slander those they watch, every second, from the tenth on.
- `pause:A`: that many freeze for 8 s. `hic:A`: eight times, that many freeze for up to 0.8 s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from .network import Cut, HostT, Network

KINDS = (
    "quiet",
    "crash",
    "restart",
    "split",
    "oin",
    "oout",
    "ring",
    "bridge",
    "lie",
    "pause",
    "hic",
)
ONE_WAY_OR_SPLIT = ("split", "oin", "oout")
BEGIN_S = 20.0
"""How long a cluster runs quietly before anything happens to it."""
LIES_BEGIN_S = 10.0
LIE_INTERVAL_S = 1.0
RESTART_AFTER_S = 4.0
PAUSE_S = 8.0
_PAUSE_JITTER_S = 0.3
_HICCUPS = 8
_HICCUP_INTERVAL_S = 2.5
_HICCUPS_S = (0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the fault begins, when it is healed, and when the trial ends, in seconds."""

    begin_s: float
    heal_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble, and how much of it; `text` as it was written."""

    text: str
    kind: str
    amount: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `kind` or `kind:amount`; `ValueError` says what is wrong with it."""
        kind, _, amount = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"no scenario {kind!r}; there are {', '.join(KINDS)}")
        value = float(amount or 0)
        if not 0 <= value < float("inf"):
            raise ValueError(f"{amount!r} is no amount of nodes")
        return cls(text, kind, value)

    def affected(self, size: int) -> int:
        """How many nodes it happens to: those with the lowest numbers."""
        if 0 < self.amount < 1:
            return max(1, int(size * self.amount))
        return min(size, int(self.amount))

    def timeline(self, *, hold_s: float, settle_s: float) -> Timeline:
        """A fault that can be healed lasts `hold_s`; all are watched for `settle_s` after."""
        begin = BEGIN_S
        match self.kind:
            case "quiet":
                return Timeline(begin, begin, begin + hold_s + settle_s)
            case "crash":
                return Timeline(begin, float("inf"), begin + hold_s)
            case "restart":
                return Timeline(begin, begin + RESTART_AFTER_S, begin + hold_s + settle_s)
            case "pause":
                healed = begin + PAUSE_S + _PAUSE_JITTER_S
                return Timeline(begin, healed, begin + hold_s + settle_s)
            case "hic":
                return Timeline(begin - 5, begin - 5, begin + hold_s + settle_s)
            case _:
                return Timeline(begin, begin + hold_s, begin + hold_s + settle_s)

    def stage(self, world: Network[HostT], timeline: Timeline) -> None:
        """Put all that will happen into the world's queue of events."""
        size = len(world.nodes)
        affected = self.affected(size)
        rng = world.rng
        if cut := self._cut(size):
            world.at(timeline.begin_s, partial(setattr, world, "cut", cut))
            world.at(timeline.heal_s, partial(setattr, world, "cut", nobody_cut))
        for number in range(affected):
            if self.kind in ("crash", "restart"):
                world.at(timeline.begin_s, partial(world.crash, number))
            if self.kind == "restart":
                world.at(timeline.heal_s, partial(world.restart, number))
            if self.kind == "pause":
                at = timeline.begin_s + _PAUSE_JITTER_S * rng.random()
                world.at(at, partial(world.pause, number, PAUSE_S))
            if self.kind == "lie":
                _every(world, LIES_BEGIN_S + rng.random(), partial(world.slander_subjects, number))
        if self.kind == "hic":
            for storm in range(_HICCUPS):
                start = timeline.begin_s + 3 + _HICCUP_INTERVAL_S * storm
                for number in rng.sample(range(size), affected):
                    pause = partial(world.pause, number, rng.choice(_HICCUPS_S))
                    world.at(start + rng.random(), pause)

    def judged(self, observer: int, *, size: int) -> bool:
        """Whether that node's beliefs count: not if it is a liar, or was down or frozen."""
        spoilt = self.kind in ("crash", "restart", "pause", "lie")
        return not (spoilt and observer < self.affected(size))

    def to_be_seen(self, observer: int, subject: int, *, size: int) -> bool:
        """Whether the observer ought to hold the subject unreachable while the fault lasts."""
        affected = self.affected(size)
        if self.kind in ONE_WAY_OR_SPLIT:
            return (observer < affected) != (subject < affected)
        return self.kind in ("crash", "restart", "pause") and subject < affected <= observer

    def linked(self, one: int, other: int, *, size: int) -> bool:
        """Whether the two can reach each other directly all the time."""
        cut = self._cut(size)
        return cut is None or not (cut(one, other) or cut(other, one))

    def _cut(self, size: int) -> Cut | None:
        affected, half, reach = self.affected(size), size // 2, max(1, (size // 2 + 1) // 2)
        cuts: dict[str, Cut] = {
            "split": lambda a, b: (a < affected) != (b < affected),
            "oin": lambda a, b: a >= affected > b,
            "oout": lambda a, b: a < affected <= b,
            "ring": lambda a, b: min((a - b) % size, (b - a) % size) > reach,
            "bridge": lambda a, b: a != 0 != b and (a <= half) != (b <= half),
        }
        return cuts.get(self.kind)


def nobody_cut(_sender: int, _receiver: int) -> bool:
    """All links work."""
    return False


def _every(world: Network[HostT], at: float, action: Callable[[], None]) -> None:
    def act() -> None:
        action()
        world.at(world.now + LIE_INTERVAL_S, act)

    world.at(at, act)
