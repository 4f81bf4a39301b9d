"""Who held whom for away, for how long, and whether that was wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chaos.history import AWAY, Belief, History

from .tables import DIGITS


@dataclass(frozen=True, slots=True)
class Flag:
    """`viewer` held `subject` for unreachable or dead all that time."""

    viewer: str
    subject: str
    begin_s: float
    end_s: float
    dead: bool
    """Whether it held it for dead at any moment of that."""


@dataclass(frozen=True, slots=True)
class Toll:
    """What many flags come to."""

    flags: int
    pairs: int
    """Of viewer and subject, each counted once."""
    seconds: float
    """Of all pairs together."""
    longest_s: float
    dead: int
    """Pairs of which the viewer held the subject for dead."""


def flags_of(history: History) -> list[Flag]:
    """Every stretch, in the order of beginning; one that still stands ends with the history.

    For worlds in which nobody starts anew: who does forgets what it believed.
    """
    found: list[Flag] = []
    open_: dict[tuple[str, str], tuple[float, bool]] = {}
    for one in history.beliefs:
        pair = one.node, one.subject
        if one.belief in AWAY:
            begin_s, dead = open_.get(pair, (one.at_s, False))
            open_[pair] = begin_s, dead or one.belief is Belief.DEAD
        elif pair in open_:
            begin_s, dead = open_.pop(pair)
            found.append(Flag(*pair, begin_s, one.at_s, dead))
    found += [Flag(*pair, begin_s, history.end_s, dead) for pair, (begin_s, dead) in open_.items()]
    return sorted(found, key=lambda flag: (flag.begin_s, flag.viewer, flag.subject))


def toll_of(flags: Iterable[Flag]) -> Toll:
    """Add them up."""
    taken = list(flags)
    lasted = [flag.end_s - flag.begin_s for flag in taken]
    return Toll(
        flags=len(taken),
        pairs=len(dict.fromkeys((flag.viewer, flag.subject) for flag in taken)),
        seconds=round(sum(lasted, 0.0), DIGITS),
        longest_s=round(max(lasted, default=0.0), DIGITS),
        dead=len(dict.fromkeys((flag.viewer, flag.subject) for flag in taken if flag.dead)),
    )


def seen_after(
    flags: Iterable[Flag], subject: str, since_s: float, viewers: Iterable[str]
) -> Mapping[str, float]:
    """When each viewer that noticed first held the subject for away, in seconds since then.

    A flag that stood already counts as noticed at once.
    """
    wanted = dict.fromkeys(viewers)
    seen: dict[str, float] = {}
    for flag in flags:
        if flag.subject == subject and flag.viewer in wanted and flag.end_s > since_s:
            after_s = round(max(0.0, flag.begin_s - since_s), DIGITS)
            seen[flag.viewer] = min(after_s, seen.get(flag.viewer, after_s))
    return seen
