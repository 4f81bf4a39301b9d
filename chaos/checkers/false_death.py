"""P4: a healthy member is not dead, and not for long unreachable, to anyone.

A history is invalid where an honest viewer, while it and the subject were sound (see `soundness`),

1. held the subject for dead after soundness had settled;
2. held it for unreachable longer than allowed: from before, past the moment when soundness
   settled; newly, for more than `wrongly_unreachable_s` (`…_lossy_s` where more is lost);
3. at the end, as nodes of the core both, does not hold it for alive or suspect, for as long.

What is excused, and no more: a subject or viewer that is down, paused, or has run for less than
`started_s`; a subject that cannot send to or hear from an honest node that is up, and for
`healed_s` after that; links worse than `heavy_loss_max`. One that said goodbye is down until it
starts again. Villains are neither heard nor judged.

Shorter flags are counted: how many pairs, how many seconds together, how long the worst.
"""

from dataclasses import dataclass

from chaos.history import History
from chaos.verdict import Finding

from .believed import HERE, Beliefs, Flag
from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .soundness import LinkTimes, SoundSpan, sound_pair, sound_spans


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    beliefs: Beliefs
    links: LinkTimes
    sound: dict[str, list[SoundSpan]]
    book: Casebook

    def pair(self, viewer: str, subject: str, begin_s: float, end_s: float) -> list[SoundSpan]:
        """When that pair was sound, in the stretches that touch that time."""
        running = self.lives[viewer].running
        within = (begin_s, end_s)
        return sound_pair(self.sound[subject], running, within, self.limits.started_s)


def check(history: History, limits: Limits) -> Finding:
    """Judge P4."""
    lives = processes(history)
    read = _Reading(
        history,
        limits,
        lives,
        Beliefs(history, lives),
        LinkTimes(history),
        sound_spans(history, limits, lives),
        Casebook(),
    )
    read.book.looked_at = _pairs_judged(read)
    wrong_s: dict[tuple[str, str], float] = {}
    worst_s = 0.0
    for flag in read.beliefs.flags():
        if flag.viewer in read.sound and flag.subject in read.sound and flag.viewer != flag.subject:
            spent_s = _judge_dead(read, flag) if flag.dead else _judge_away(read, flag)
            worst_s = max(worst_s, spent_s)
            if spent_s > 0.0:
                pair = flag.viewer, flag.subject
                wrong_s[pair] = wrong_s.get(pair, 0.0) + spent_s
    _judge_end(read)
    if read.book.looked_at:
        read.book.figures |= {
            "pairs_count": float(read.book.looked_at),
            "pairs_flagged_count": float(len(wrong_s)),
            "wrongly_away_total_s": round(sum(wrong_s.values()), 6),
            "wrongly_away_worst_s": round(worst_s, 6),
        }
    return read.book.finding("P4", "false_death")


def _pairs_judged(read: _Reading) -> int:
    """How many ordered pairs were sound and settled at some time, taking each end by itself."""
    judged = {
        node: None
        for node, spans in read.sound.items()
        if any(span.settled_s < span.end_s for span in spans)
    }
    viewers = {
        node: None
        for node in read.sound
        for span in read.lives[node].running
        if span.end_s - span.begin_s > read.limits.started_s
    }
    both = sum(node in viewers for node in judged)
    return len(judged) * len(viewers) - both


def _judge_away(read: _Reading, flag: Flag) -> float:
    """Rule 2; the seconds that the flag was wrong, allowed or not."""
    wrong_s = 0.0
    for span in read.pair(flag.viewer, flag.subject, flag.begin_s, flag.end_s):
        begin_s = max(flag.begin_s, span.begin_s)
        end_s = min(flag.end_s, span.end_s)
        wrong_s += max(0.0, end_s - max(begin_s, span.settled_s))
        if end_s > _allowed_until_s(read, span, begin_s, end_s):
            text = (
                f"{flag.viewer} held {flag.subject} for unreachable from {moment(flag.begin_s)} "
                f"to {moment(flag.end_s)}, though nothing was between them since "
                f"{moment(span.begin_s)}"
            )
            read.book.blame(begin_s, text)
    return wrong_s


def _allowed_until_s(read: _Reading, span: SoundSpan, begin_s: float, end_s: float) -> float:
    allowed_s = read.limits.wrongly_away_s(0.0)
    if end_s - begin_s > allowed_s:
        allowed_s = read.limits.wrongly_away_s(read.links.worst_loss(begin_s, end_s))
    # A flag from before soundness has until it settles; a new one its time, whichever is later.
    is_new = begin_s > span.begin_s
    return max(span.settled_s, begin_s + allowed_s if is_new else 0.0)


def _judge_dead(read: _Reading, flag: Flag) -> float:
    """Rule 1. The seconds are already counted with the flag around it."""
    for span in read.pair(flag.viewer, flag.subject, flag.begin_s, flag.end_s):
        if min(flag.end_s, span.end_s) > max(flag.begin_s, span.settled_s):
            text = (
                f"{flag.viewer} held {flag.subject} for dead from {moment(flag.begin_s)} to "
                f"{moment(flag.end_s)}, though nothing was between them since "
                f"{moment(span.begin_s)}"
            )
            read.book.blame(max(flag.begin_s, span.settled_s), text)
    return 0.0


def _judge_end(read: _Reading) -> None:
    """Rule 3."""
    end_s = read.history.end_s
    core = {node: None for node in read.history.core if node in read.sound}
    for view in read.history.views:
        if view.node not in core:
            continue
        for subject, belief in view.beliefs:
            if subject not in core or subject == view.node or belief in HERE:
                continue
            since_s = read.beliefs.gone_since(view.node, subject, end_s)
            begin_s = 0.0 if since_s is None else since_s
            for span in read.pair(view.node, subject, begin_s, end_s):
                late_s = _allowed_until_s(read, span, max(begin_s, span.begin_s), end_s)
                if span.end_s >= end_s > late_s:
                    text = (
                        f"{view.node}, at the end, holds {subject} for {belief.value}, though "
                        f"nothing was between them since {moment(span.begin_s)}"
                    )
                    read.book.blame(end_s, text)
