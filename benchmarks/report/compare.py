"""What has changed from one run to another.

Medians of two runs differ by what else the machine did. So a figure counts as changed only if each
median lies outside the other's rounds; and where there is a ratio to a peer, the ratio is compared,
since a busy hour falls on both.
"""

from dataclasses import dataclass

from .results import Results
from .shape import Measurement, Spread
from .table import VERDICTS, row, spread

HEAD = ("suite", "figure", "before", "now", "now / before", "", "met")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both runs, or in one of them."""

    suite: str
    name: str
    what: str
    """The ratio, or the unit of our own figure."""
    before: Spread | None
    now: Spread | None
    met: tuple[bool | None, bool | None]

    @property
    def verdict(self) -> str:
        """`new`, `gone`, `same` (within what rounds differ by), `more` or `less`."""
        if self.before is None:
            return "new"
        if self.now is None:
            return "gone"
        before, now = self.before, self.now
        inside = before.min <= now.median <= before.max or now.min <= before.median <= now.max
        if inside:
            return "same"
        return "more" if now.median > before.median else "less"


def changes(before: Results, now: Results) -> list[Change]:
    """Of every figure of either run, in the order of the new one."""
    old = {(suite, one.name): one for suite, one in before.measurements()}
    new = {(suite, one.name): one for suite, one in now.measurements()}
    return [_change(key, old.get(key), new.get(key)) for key in (*new, *(old.keys() - new.keys()))]


def _change(key: tuple[str, str], old: Measurement | None, new: Measurement | None) -> Change:
    sides = [one for one in (old, new) if one is not None]
    by_ratio = all(one.ratio for one in sides)
    figures = [None if one is None else one.ratio if by_ratio else one.kith for one in (old, new)]
    met = (old.met if old else None, new.met if new else None)
    what = "ratio" if by_ratio else sides[-1].unit
    return Change(*key, what, figures[0], figures[1], met)


def comparison(found: list[Change]) -> str:
    """As a table in Markdown; only what changed, and how many did not."""
    lines = [row(HEAD), row("---" for _ in HEAD)]
    for one in found:
        if one.verdict == "same" and one.met[0] == one.met[1]:
            continue
        times = (
            f"{one.now.median / one.before.median:.2f}"
            if one.before and one.now and one.before.median
            else "–"
        )
        met = [VERDICTS[verdict] for verdict in one.met]
        sides = [f"{spread(side)} {one.what}".strip() if side else "–" for side in _sides(one)]
        judged = met[1] if met[0] == met[1] else f"{met[0] or '–'} → {met[1] or '–'}"
        lines.append(row((one.suite, one.name, *sides, times, one.verdict, judged)))
    same = sum(one.verdict == "same" and one.met[0] == one.met[1] for one in found)
    return "\n".join(
        [*lines, "", f"{same} of {len(found)} figures are the same within their rounds."]
    )


def _sides(one: Change) -> tuple[Spread | None, Spread | None]:
    return one.before, one.now
