"""How far one node's failure reaches: each node failed once in each way, and nothing else did.

Rules this module keeps:

1. Only what happened while the failure lasted counts for it.
2. Who never noticed is left out of the times, and named.
"""

from dataclasses import dataclass, field

from chaos.reports.words import value_of
from chaos.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one failure of one node did."""

    node: str
    way: str
    verdict: Verdict
    reason: str
    lasted_s: float
    noticed_s: dict[str, float]
    """By node, of those that took it for gone: how long after it failed; the soonest first."""
    blind: tuple[str, ...]
    """The other nodes: they never did."""
    itself: tuple[str, ...]
    """Whom it took for gone in its turn, as one that is cut off does."""
    back_s: float | None
    """How long after the failure was over until all who noticed held it for alive again; None if
    one of them did not, or nobody had noticed."""
    lookups_failed: int
    """Asked of other nodes."""
    writes_failed: int
    """Likewise."""
    run: str = ""
    """The run's directory, beside the page."""

    @property
    def first_s(self) -> float | None:
        """Until the first noticed."""
        return min(self.noticed_s.values(), default=None)

    @property
    def last_s(self) -> float | None:
        """Until the last that did noticed."""
        return max(self.noticed_s.values(), default=None)


@dataclass(slots=True, kw_only=True)
class Blast:
    """All failures of a cluster's nodes, one at a time."""

    about: str
    cluster: str
    nodes: tuple[str, ...]
    seed: int
    started_at: str
    commit: str
    replay: str
    left_out: dict[str, str] = field(default_factory=dict)
    """By way: why it could not be tried here."""
    planned: int = 0
    """How many failures there were to be."""
    effects: list[Effect] = field(default_factory=list)
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """That of the worst run."""
        verdicts = [one.verdict for one in self.effects]
        for worst in (Verdict.INVALID, Verdict.UNKNOWN, Verdict.VALID):
            if worst in verdicts:
                return worst
        return Verdict.UNKNOWN

    @property
    def result(self) -> str:
        """What came of it, in a few sentences."""
        if not self.effects:
            return "Nothing was tried."
        parts = [self._noticing(), self._clients()]
        bad = [one for one in self.effects if one.verdict is not Verdict.VALID]
        if bad:
            one = bad[0]
            parts.append(f"{one.node}, {one.way}: {one.verdict.value}, {one.reason}.")
        if self.interrupted:
            parts.append(f"It was ended after {len(self.effects)} of {self.planned} failures.")
        return " ".join(parts)

    def _noticing(self) -> str:
        count = len(self.effects)
        times_s = [one.last_s for one in self.effects if one.last_s is not None]
        worst = max(
            (one for one in self.effects if one.last_s is not None),
            key=lambda one: one.last_s or 0.0, default=None,
        )  # fmt: skip
        unseen = [f"{one.node} ({one.way})" for one in self.effects if one.blind]
        if worst is None:
            return "No failure was noticed by anybody."
        at_most = f"within {value_of('_s', max(times_s))} ({worst.node}, {worst.way})"
        if not unseen:
            which = f"Each of {count} failures" if count > 1 else "The failure"
            return f"{which} was noticed by all others, {at_most}."
        return (
            f"{count - len(unseen)} of {count} failures noticed by all others, "
            f"{at_most}. Not by all: {', '.join(unseen)}."
        )

    def _clients(self) -> str:
        lookups = sum(one.lookups_failed for one in self.effects)
        writes = sum(one.writes_failed for one in self.effects)
        if not lookups + writes:
            return "No client of another node felt any of them."
        return f"Clients of other nodes had {lookups} lookups and {writes} writes fail."


HEADINGS = (
    "node", "fails by", "verdict", "noticed by", "first", "last", "not by", "itself took for gone",
    "back again", "lookups failed", "writes failed",
)  # fmt: skip
NUMBERS = ("first", "last", "back again", "lookups failed", "writes failed")


def cells_of(effect: Effect) -> tuple[str, ...]:
    """An effect's cells, by heading."""
    return (
        effect.node, effect.way, effect.verdict.value, " ".join(effect.noticed_s) or "nobody",
        _seconds(effect.first_s), _seconds(effect.last_s), " ".join(effect.blind) or "–",
        " ".join(effect.itself) or "–", _seconds(effect.back_s), str(effect.lookups_failed),
        str(effect.writes_failed),
    )  # fmt: skip


def _seconds(value_s: float | None) -> str:
    return "–" if value_s is None else value_of("_s", value_s)
