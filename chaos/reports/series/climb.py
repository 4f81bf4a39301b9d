"""A ramp that was climbed: one fault at rising rates, a run each, until one was not valid.

Rules this module keeps:

1. A rate is borne only if its run was valid and so was every lower one.
2. A run that proves nothing ends a climb, and is never said to have broken anything.
"""

from dataclasses import dataclass, field

from chaos.reports.words import INVARIANTS, amount, value_of
from chaos.running.spreading import COVER_S
from chaos.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, and what its run showed while the fault lasted."""

    rate: str
    """As people write it: `30 %`, `200 ms`."""
    verdict: Verdict
    reason: str
    figures: dict[str, float] = field(default_factory=dict)
    """See `chaos.monkey.gradual.figures_of`; what was not measured is left out."""
    run: str = ""
    """The run's directory, beside the climb's page."""


@dataclass(slots=True, kw_only=True)
class Climb:
    """What came of a ramp."""

    ramp: str
    """Its name, as the command has it."""
    title: str
    """What rises: `packets lost`."""
    phrase: str
    """A rate in a sentence; `{}` stands for it."""
    about: str
    """What a step is, and what has to hold in it."""
    nobody_gone: bool
    """Whether no node is ever gone in it, so that all who are taken for gone are so wrongly."""
    rates: tuple[str, ...]
    """All that were to be tried, ascending."""
    cluster: str
    nodes: tuple[str, ...]
    seed: int
    started_at: str
    commit: str
    replay: str
    means: dict[str, str] = field(default_factory=dict)
    """As in `RunRecord`."""
    steps: list[Step] = field(default_factory=list)
    interrupted: bool = False

    def told(self, rate: str) -> str:
        """A rate in a sentence."""
        return self.phrase.replace("{}", rate)

    @property
    def borne(self) -> str:
        """The highest rate that was valid, with all below it; empty if the lowest was not."""
        valid = [one for one in self.steps if one.verdict is Verdict.VALID]
        return valid[-1].rate if valid else ""

    @property
    def last(self) -> Step | None:
        """The step at which it ended before its time, because it was not valid."""
        if self.steps and self.steps[-1].verdict is not Verdict.VALID:
            return self.steps[-1]
        return None

    @property
    def verdict(self) -> Verdict:
        """Valid if some rate was borne and something is known of what came after it."""
        if self.last is not None and self.last.verdict is Verdict.UNKNOWN:
            return Verdict.UNKNOWN
        if self.borne:
            return Verdict.VALID
        return Verdict.INVALID if self.last is not None else Verdict.UNKNOWN

    @property
    def result(self) -> str:
        """What came of it, in a sentence or two."""
        borne = f"It holds with {self.told(self.borne)}" if self.borne else ""
        last = self.last
        if last is not None:
            at = self.told(last.rate)
            if last.verdict is Verdict.INVALID:
                what = f"with {at} it broke {_promise(last.reason)}"
            else:
                what = f"the run with {at} proves nothing: {last.reason}"
            if not borne:
                return f"Not even the lowest rate was borne: {what}"
            return f"{borne}; {what}"
        if not borne:
            return "Nothing was tried."
        if self.interrupted or len(self.steps) < len(self.rates):
            return f"{borne}; it was ended there, and higher rates were not tried."
        return f"{borne}, the highest rate that was tried; nothing broke."

    @property
    def signs(self) -> list[str]:
        """What was felt first, and at which rate, whether it broke a promise or not."""
        found = []
        for name, told in _SIGNS:
            step = next((one for one in self.steps if one.figures.get(name, 0.0) > 0), None)
            if step is not None and (name != "gone_count" or self.nobody_gone):
                longest = step.figures.get("gone_longest_s")
                more = f", for {value_of('_s', longest)} at most" if longest is not None else ""
                text = _counted(step.figures[name], *told, more if name == "gone_count" else "")
                found.append(f"First with {self.told(step.rate)}: {text}.")
        return found


def _promise(reason: str) -> str:
    """Which promise did not hold and why, from a run's reason: `P1 (set_full): a lacks it`."""
    what, _, why = reason.partition(": ")
    name = what.partition(" ")[0]
    promise = f"{name}, {INVARIANTS[name]}" if name in INVARIANTS else what
    return f"“{promise}”: {why}" if why else f"“{promise}”"


def _counted(count: float, one: str, many: str, more: str) -> str:
    """`1 update was …`, `3 updates were …`."""
    return (one if count == 1 else many.replace("{}", amount(count))) + more


_SIGNS = (
    (
        "gone_count",
        ("a live node was taken for gone, once", "live nodes were taken for gone, {} times"),
    ),
    (
        "updates_short_count",
        (
            f"1 update was not everywhere within {COVER_S:g} s",
            f"{{}} updates were not everywhere within {COVER_S:g} s",
        ),
    ),
    (
        "lookups_failed_count",
        (
            "1 lookup was not answered by a node that ran",
            "{} lookups were not answered by nodes that ran",
        ),
    ),
    (
        "writes_undone_count",
        (
            "1 write was not acknowledged by a node that ran",
            "{} writes were not acknowledged by nodes that ran",
        ),
    ),
    (
        "updates_lost_count",
        ("1 acknowledged update was lost", "{} acknowledged updates were lost"),
    ),
)
"""Figures of which the first that is not zero is told: of one, and of many."""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a step, as tables show it."""

    name: str
    heading: str


COLUMNS = (
    Column("coverage_p50_s", "update everywhere, median"),
    Column("coverage_p99_s", "p99"),
    Column("updates_short_count", "not everywhere"),
    Column("lookups_failed_count", "lookups failed"),
    Column("gone_count", "taken for gone"),
    Column("gone_longest_s", "longest"),
    Column("noticed_max_s", "noticed"),
    Column("healed_s", "healed"),
    Column("updates_lost_count", "lost"),
)


def columns_of(climb: Climb) -> list[Column]:
    """Those that any step measured."""
    return [one for one in COLUMNS if any(one.name in step.figures for step in climb.steps)]


def cells_of(climb: Climb, step: Step) -> list[str]:
    """A step's values, by column."""
    return [
        value_of(one.name, step.figures[one.name]) if one.name in step.figures else "–"
        for one in columns_of(climb)
    ]
