"""What a trial is judged by: who saw what when, who was wronged for how long, what it cost.

Times are in seconds from the begin of the fault, or of its end for healing; `inf` is "never".
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from .network import HostT, Network, Opinion
from .scenario import LIES_BEGIN_S, Scenario, Timeline

SEEN_WITHIN_S = 5.0
_COUNTED_FROM_S = 15
"""Traffic of the first seconds, when nodes check each other for the first time, is not judged."""
_IDLE_S = range(8, 19)
_SUSTAINED_S = range(24, 34)
NEVER = math.inf


@dataclass(slots=True)
class Figures:
    """Of one run, or of several added up by `add`.

    `seen_s`: for each pair that ought to notice, when the observer did. `wrong_*`: all other pairs
    that were flagged at all, in seconds of all pairs together and of the longest flag; `linked_*`
    only those that could reach each other directly. `dead`: pairs of the latter held dead.
    """

    runs: int = 0
    seen_s: list[float] = field(default_factory=list)
    held: int = 0
    healed_s: list[float] = field(default_factory=list)
    pairs: int = 0
    wrong_pairs: int = 0
    wrong_s: float = 0.0
    wrong_longest_s: float = 0.0
    linked_pairs: int = 0
    linked_s: float = 0.0
    linked_longest_s: float = 0.0
    dead: int = 0
    peak_node: int = 0
    peak_mean: float = 0.0
    peak_bytes: int = 0
    sustained: float = 0.0
    idle: float = 0.0
    idle_bytes: float = 0.0

    def add(self, other: "Figures") -> None:
        """Take in another run, or several."""
        weight = other.runs / (self.runs + other.runs)
        self.runs += other.runs
        self.seen_s += other.seen_s
        self.healed_s += other.healed_s
        for name in ("held", "pairs", "wrong_pairs", "linked_pairs", "dead"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong_s += other.wrong_s
        self.linked_s += other.linked_s
        for name in ("peak_node", "peak_mean", "peak_bytes", "wrong_longest_s", "linked_longest_s"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        for name in ("sustained", "idle", "idle_bytes"):
            mine = getattr(self, name)
            setattr(self, name, mine + (getattr(other, name) - mine) * weight)

    @property
    def seen_in_time(self) -> float:
        """The share of pairs that noticed within `SEEN_WITHIN_S`."""
        if not self.seen_s:
            return math.nan
        return sum(at <= SEEN_WITHIN_S for at in self.seen_s) / len(self.seen_s)

    @property
    def held_to_end(self) -> float:
        """The share of pairs that held to it when the fault ended."""
        return self.held / len(self.seen_s) if self.seen_s else math.nan


def quantile(values: Sequence[float], share: float) -> float:
    """Of any values, unsorted; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(world: Network[HostT], scenario: Scenario, timeline: Timeline) -> Figures:
    """Judge a world that has run to the end of the timeline."""
    size = len(world.nodes)
    figures = Figures(runs=1)
    opinions: dict[tuple[int, int], list[Opinion]] = {}
    for opinion in world.opinions:
        opinions.setdefault((opinion.observer, opinion.subject), []).append(opinion)
    for observer, subject in product(range(size), repeat=2):
        if observer == subject or not scenario.judged(observer, size=size):
            continue
        held = opinions.get((observer, subject), [])
        if scenario.to_be_seen(observer, subject, size=size):
            _judge_sight(figures, held, timeline)
        else:
            linked = scenario.linked(observer, subject, size=size)
            _judge_error(figures, held, timeline, linked=linked)
    _count_traffic(figures, world, scenario)
    return figures


def _judge_sight(figures: Figures, opinions: Iterable[Opinion], timeline: Timeline) -> None:
    seen_at, away_at_heal, away = NEVER, False, False
    cleared_at = timeline.heal_s
    troubled_after = False
    for opinion in opinions:
        if opinion.at < timeline.heal_s:
            away_at_heal = opinion.away
            if opinion.away and timeline.begin_s <= opinion.at < seen_at:
                seen_at = opinion.at
        elif opinion.away:
            troubled_after = True
        elif away:
            cleared_at = opinion.at
        away = opinion.away
    figures.seen_s.append(seen_at - timeline.begin_s)
    figures.held += away_at_heal
    if timeline.heal_s < timeline.end_s and (away_at_heal or troubled_after):
        figures.healed_s.append(NEVER if away else cleared_at - timeline.heal_s)


def _judge_error(
    figures: Figures, opinions: Iterable[Opinion], timeline: Timeline, *, linked: bool
) -> None:
    spells: list[float] = []
    since: float | None = None
    dead = False
    for opinion in opinions:
        dead = dead or opinion.dead
        if opinion.away and since is None:
            since = opinion.at
        elif not opinion.away and since is not None:
            spells.append(opinion.at - since)
            since = None
    if since is not None:
        spells.append(timeline.end_s - since)
    figures.pairs += 1
    if not spells:
        return
    figures.wrong_pairs += 1
    figures.wrong_s += sum(spells)
    figures.wrong_longest_s = max(figures.wrong_longest_s, *spells)
    if linked:
        figures.linked_pairs += 1
        figures.linked_s += sum(spells)
        figures.linked_longest_s = max(figures.linked_longest_s, *spells)
        figures.dead += dead


def _count_traffic(figures: Figures, world: Network[HostT], scenario: Scenario) -> None:
    size = len(world.nodes)
    lying = scenario.kind == "lie"
    counted = [n for n in world.nodes if not lying or n.number >= scenario.affected(size)]
    first = int(LIES_BEGIN_S) if lying else _COUNTED_FROM_S
    totals: Counter[int] = Counter()
    idle_bytes = 0
    for node in counted:
        totals.update(node.sent)
        late = [count for second, count in node.sent.items() if second >= first]
        figures.peak_node = max([figures.peak_node, *late])
        sizes = [count for second, count in node.sent_bytes.items() if second >= first]
        figures.peak_bytes = max([figures.peak_bytes, *sizes])
        idle_bytes += sum(node.sent_bytes[second] for second in _IDLE_S)
    late_totals = [count for second, count in totals.items() if second >= first]
    figures.peak_mean = max(late_totals, default=0) / len(counted)
    figures.sustained = _mean(totals, _SUSTAINED_S) / len(counted)
    figures.idle = _mean(totals, _IDLE_S) / len(counted)
    figures.idle_bytes = idle_bytes / len(_IDLE_S) / len(counted)


def _mean(totals: Counter[int], seconds: range) -> float:
    return sum(totals[second] for second in seconds) / len(seconds)
