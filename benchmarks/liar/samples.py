"""What honest members held of the accused, look by look, and the figures of it.

Rules this module keeps:

1. What a look showed holds until the next look of the same member.
2. A look that was not answered says nothing: the time until the next one counts for neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from .logs import Logged


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at one member showed; times in seconds on the monotonic clock."""

    at_s: float
    status: str
    """Of the accused, as this member calls it; empty: it did not answer."""
    gone: bool = False
    """Taken for dead, failed or unreachable, or not known at all."""
    listed: bool | None = None
    """A lookup of the accused's service names it; None where there are no lookups."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack on one fresh cluster."""

    looks: dict[str, list[Seen]]
    """By honest member, in the order of time."""
    began_s: float
    """The first accusation was sent no earlier."""
    ended_s: float
    """The last one was sent no later."""
    told: int
    """How many accusations were made, each to all who are told."""
    logged: Logged
    """What the logs say of the time since just before."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one trial; means are over honest members."""

    members: int
    fooled: int
    """Honest members that ever took the accused for gone."""
    first_s: float | None
    """From the first accusation until one did; None: never."""
    gone_s: float
    """For how long, the mean."""
    gone_share: float
    """… of the time between the first and the last accusation; 0 where it was said once."""
    longest_s: float
    """The longest time without a break, of any one."""
    back_s: float | None
    """From the last accusation until nobody did any more; None: somebody still did at the end."""
    still_gone: int
    """Members that did when watching ended."""
    times: float
    """How often one came to take it for gone, by its log, the mean."""
    doubted: float
    """How often a word stood against it that decided nothing, by logs, the mean."""
    doubted_s: float
    """For how long, the mean."""
    refuted: int | None
    """Accusations that the accused refuted, by its log; None: it does not say so."""
    lookups: int
    lookups_lost: int
    """Lookups of its service that did not name it."""
    looks: int
    unanswered: int
    told: int


def figures(trial: Trial) -> Figures:
    """What came of an attack."""
    each = [[one for one in looks if one.at_s >= trial.began_s] for looks in trial.looks.values()]
    answered = [one for looks in each for one in looks if one.status]
    gone = [one.at_s for one in answered if one.gone]
    attack_s = trial.ended_s - trial.began_s
    during_s = [_total(looks, until_s=trial.ended_s) for looks in each]
    still = sum(_gone_at_end(looks) for looks in each)
    lookups = [one for one in answered if one.listed is not None]
    return Figures(
        members=len(each),
        fooled=sum(any(one.gone for one in looks) for looks in each),
        first_s=min(gone) - trial.began_s if gone else None,
        gone_s=fmean(_total(looks) for looks in each),
        gone_share=fmean(during_s) / attack_s if trial.told > 1 else 0.0,
        longest_s=max(max(_stretches(looks), default=0.0) for looks in each),
        back_s=None if still else max([0.0, *(_last_gone(one) - trial.ended_s for one in each)]),
        still_gone=still,
        times=trial.logged.gone / len(each),
        doubted=trial.logged.doubted / len(each),
        doubted_s=trial.logged.doubted_s / len(each),
        refuted=trial.logged.refuted,
        lookups=len(lookups),
        lookups_lost=sum(not one.listed for one in lookups),
        looks=sum(len(looks) for looks in each),
        unanswered=sum(not one.status for looks in each for one in looks),
        told=trial.told,
    )


def _spans(looks: Sequence[Seen]) -> Iterator[tuple[Seen, float]]:
    """Each look that was answered, with the time of the next one; the last has no length."""
    ends = [one.at_s for one in looks[1:]] + [one.at_s for one in looks[-1:]]
    return ((one, end) for one, end in zip(looks, ends, strict=True) if one.status)


def _total(looks: Sequence[Seen], until_s: float = float("inf")) -> float:
    """For how long it was gone, until then."""
    return sum(
        max(0.0, min(end, until_s) - one.at_s) for one, end in _spans(looks) if one.gone
    )  # fmt: skip


def _stretches(looks: Sequence[Seen]) -> list[float]:
    """How long it lasted each time that it was gone."""
    found: list[tuple[float, float]] = []
    was_gone = False
    for one, end in _spans(looks):
        if one.gone:
            begin = found.pop()[0] if was_gone else one.at_s
            found.append((begin, end))
        was_gone = one.gone
    return [end - begin for begin, end in found]


def _gone_at_end(looks: Sequence[Seen]) -> bool:
    return next((one.gone for one in reversed(looks) if one.status), False)


def _last_gone(looks: Sequence[Seen]) -> float:
    """When the last look at which it was gone ended; long ago if there is none."""
    return max((end for one, end in _spans(looks) if one.gone), default=float("-inf"))
