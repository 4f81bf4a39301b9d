"""A measurement, a curve, and the goal of either, as plain values.

Rules this module keeps:

1. Of several rounds there is always the median with the least and the most, never a mean.
2. A ratio is made round by round, ours and the peer's of the same round, so that a busy minute of
   the machine falls on both. It says which is divided by which.
3. A goal names what it judges: the ratio, or our own figure. What could not be judged is neither
   met nor missed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias

SIGNIFICANT = 4
"""Digits that a figure keeps; more would claim a precision that no run has."""

Json: TypeAlias = dict[str, object]
Way: TypeAlias = Literal["kith / peer", "peer / kith"]


class ReportError(Exception):
    """What was read is not in the shape; the message names the field and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several measurements of one thing."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one.

        Raises:
            ValueError: of none.
        """
        if not values:
            raise ValueError("a spread needs at least one value")
        return cls(*(significant(one) for one in (median(values), min(values), max(values))))

    def document(self) -> Json:
        """As JSON."""
        return {"median": self.median, "min": self.min, "max": self.max}


@dataclass(frozen=True, slots=True)
class Peer:
    """The other program, measured in the same run."""

    name: str
    version: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class PeerValues:
    """What was measured of the other program, round by round."""

    name: str
    version: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Goal:
    """What was promised."""

    op: Literal[">=", "<="]
    value: float
    of: Literal["ratio", "kith"]

    def met_by(self, figure: float) -> bool:
        """Whether a figure keeps it."""
        return figure >= self.value if self.op == ">=" else figure <= self.value

    def __str__(self) -> str:
        sign = "≥" if self.op == ">=" else "≤"
        return f"{sign} {self.value:g}" + (" ×" if self.of == "ratio" else "")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure. See `measure`, which makes one of rounds."""

    name: str
    unit: str
    kith: Spread
    peer: Peer | None = None
    ratio: Spread | None = None
    way: Way = "kith / peer"
    goal: Goal | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is kept by the median; None without a goal, or without what it judges.

        The figure is the rounded one that the table shows: nobody can read there another verdict.
        """
        if self.goal is None:
            return None
        judged = self.ratio if self.goal.of == "ratio" else self.kith
        return None if judged is None else self.goal.met_by(judged.median)

    def document(self) -> Json:
        """As JSON."""
        peer, goal = self.peer, self.goal
        return {
            "name": self.name,
            "unit": self.unit,
            "kith": self.kith.document(),
            "peer": peer and {"name": peer.name, "version": peer.version, **peer.spread.document()},
            "ratio": self.ratio and {**self.ratio.document(), "of": self.way},
            "goal": goal and {"op": goal.op, "value": goal.value, "of": goal.of},
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Curve:
    """How a figure goes with the size of something: for each program, its spread at each size."""

    name: str
    """Of the picture's file."""
    title: str
    x: str
    y: str
    series: Mapping[str, Mapping[float, Spread]]

    def document(self) -> Json:
        """As JSON."""
        series = [
            {"name": name, "points": [{"x": x, **one.document()} for x, one in points.items()]}
            for name, points in self.series.items()
        ]
        return {"name": self.name, "title": self.title, "x": self.x, "y": self.y, "series": series}


def measure(  # noqa: PLR0913 - these are the fields of a line of the table
    name: str,
    unit: str,
    kith: Sequence[float],
    *,
    peer: PeerValues | None = None,
    way: Way = "kith / peer",
    ratios: Sequence[float] | None = None,
    goal: Goal | None = None,
    note: str = "",
) -> Measurement:
    """Make one of what was measured, round by round.

    Args:
        name: unique within its suite; it is what runs are compared by.
        unit: such as `1/s`, `ms`, `MB`, `B/s`; empty for a bare number.
        kith: our figures, one a round.
        peer: the other program's; None if it was not there.
        way: what the ratio divides by what. Where less is better, `peer / kith` says how many
            times as good ours is.
        ratios: of each round, where rounds hold several figures each and not all of them equally
            many; else they are made of the pairs.
        goal: what was promised, if anything.
        note: what the reader has to know: sizes, clients, what was left out.
    """
    theirs = list(peer.values) if peer else []
    if ratios is None:
        ratios = _ratios(kith, theirs, way)
    return Measurement(
        name=name,
        unit=unit,
        kith=Spread.of(kith),
        peer=Peer(peer.name, peer.version, Spread.of(theirs)) if peer and theirs else None,
        ratio=Spread.of(ratios) if ratios else None,
        way=way,
        goal=goal,
        note=note,
    )


def curve(
    name: str, title: str, axes: tuple[str, str], series: Mapping[str, Mapping[float, list[float]]]
) -> Curve:
    """Make one of figures: for each program, what was measured at each size.

    Args:
        name: of the picture's file, such as `lookups-by-clients`.
        title: above the picture.
        axes: what x and y are, with their units, such as `("clients", "lookups a second")`.
        series: the rounds at each size of each program.
    """
    made = {
        label: {x: Spread.of(values) for x, values in sorted(points.items()) if values}
        for label, points in series.items()
    }
    return Curve(name, title, axes[0], axes[1], made)


def quantile(values: Iterable[float], share: float) -> float:
    """The value of at least one, in any order, that so many of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def significant(value: float) -> float:
    """The value with as many digits as it may claim."""
    return float(f"{value:.{SIGNIFICANT}g}")


def _ratios(ours: Sequence[float], theirs: Sequence[float], way: Way) -> list[float]:
    """Of each round; if one side lacks rounds, of those that both have."""
    pairs = zip(ours, theirs, strict=False)
    if way == "peer / kith":
        return [their / our for our, their in pairs if our]
    return [our / their for our, their in pairs if their]


def read_measurement(value: object, where: str) -> Measurement:
    """Of JSON.

    Raises:
        ReportError: it has another shape.
    """
    found = as_object(value, where)
    peer, ratio, goal = (found.get(key) for key in ("peer", "ratio", "goal"))
    return Measurement(
        name=text(found, "name", where),
        unit=text(found, "unit", where),
        kith=_spread(found.get("kith"), f"{where}.kith"),
        peer=None if peer is None else _peer(peer, f"{where}.peer"),
        ratio=None if ratio is None else _spread(ratio, f"{where}.ratio"),
        way=_way(ratio),
        goal=None if goal is None else _goal(goal, f"{where}.goal"),
        note=text(found, "note", where) if "note" in found else "",
    )


def read_curve(value: object, where: str) -> Curve:
    """Of JSON.

    Raises:
        ReportError: it has another shape.
    """
    found = as_object(value, where)
    series: dict[str, Mapping[float, Spread]] = {}
    for at, one in enumerate(as_list(found.get("series"), f"{where}.series")):
        here = f"{where}.series[{at}]"
        line = as_object(one, here)
        points = [as_object(each, here) for each in as_list(line.get("points"), f"{here}.points")]
        series[text(line, "name", here)] = {
            number(point, "x", here): _spread(point, here) for point in points
        }
    name, title, x, y = (text(found, key, where) for key in ("name", "title", "x", "y"))
    return Curve(name, title, x, y, series)


def as_object(value: object, where: str) -> Json:
    """An object, or ReportError."""
    if not isinstance(value, dict):
        raise ReportError(f"{where} is {value!r:.60}, not an object")
    return value


def as_list(value: object, where: str) -> Iterable[object]:
    """A list, or ReportError."""
    if not isinstance(value, list):
        raise ReportError(f"{where} is {value!r:.60}, not a list")
    return value


def text(found: Json, key: str, where: str) -> str:
    """A string, or ReportError."""
    value = found.get(key)
    if not isinstance(value, str):
        raise ReportError(f"{where}.{key} is {value!r:.60}, not a string")
    return value


def number(found: Json, key: str, where: str) -> float:
    """A number, or ReportError."""
    value = found.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ReportError(f"{where}.{key} is {value!r:.60}, not a number")
    return value


def _spread(value: object, where: str) -> Spread:
    found = as_object(value, where)
    return Spread(*(number(found, key, where) for key in ("median", "min", "max")))


def _peer(value: object, where: str) -> Peer:
    found = as_object(value, where)
    name, version = (text(found, key, where) for key in ("name", "version"))
    return Peer(name, version, _spread(value, where))


def _way(ratio: object) -> Way:
    is_theirs = isinstance(ratio, dict) and ratio.get("of") == "peer / kith"
    return "peer / kith" if is_theirs else "kith / peer"


def _goal(value: object, where: str) -> Goal:
    found = as_object(value, where)
    op, of = found.get("op"), found.get("of")
    if op not in (">=", "<="):
        raise ReportError(f"{where}.op is {op!r:.60}, neither >= nor <=")
    if of not in ("ratio", "kith"):
        raise ReportError(f"{where}.of is {of!r:.60}, neither ratio nor kith")
    return Goal(">=" if op == ">=" else "<=", number(found, "value", where), _of(of))


def _of(of: object) -> Literal["ratio", "kith"]:
    return "ratio" if of == "ratio" else "kith"
