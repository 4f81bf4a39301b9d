"""P4: nobody is declared dead by a minority.

A history is invalid where an honest node took a member from unreachable to dead while, by its own
account, it reached no more than half of the members that it last knew, itself included; or while it
knew fewer than three. So of two sides of a split at most one buries the other.

Excused, and no more: a member that had said goodbye to that node before (by its own word it goes
without a majority), and members whom the node never held for unreachable, being told of their death
when it learned of them.
"""

from dataclasses import dataclass, field

from chaos.history import Belief, Believed, History, Life, Lived
from chaos.verdict import Finding

from .believed import HERE
from .casebook import Casebook, moment
from .limits import Limits
from .registers import honest_nodes

KNOWN_MIN = 3
"""Two nodes cannot outvote each other."""


@dataclass(slots=True)
class _Mind:
    """What one node holds of the others, in one life."""

    beliefs: dict[str, Belief] = field(default_factory=dict)
    farewells: dict[str, None] = field(default_factory=dict)

    def counts(self) -> tuple[int, int]:
        """How many it reaches, itself included, and how many it last knew."""
        here = 1 + sum(belief in HERE for belief in self.beliefs.values())
        away = sum(
            belief is Belief.UNREACHABLE and node not in self.farewells
            for node, belief in self.beliefs.items()
        )
        return here, here + away


def check(history: History, _limits: Limits) -> Finding:
    """Judge P4, as far as it is about who may bury."""
    book = Casebook()
    minds = {node: _Mind() for node in honest_nodes(history)}
    if history.joined:
        for node, mind in minds.items():
            mind.beliefs = {other: Belief.ALIVE for other in history.nodes if other != node}
    events: list[Lived | Believed] = [*history.lives, *history.beliefs]
    for event in sorted(events, key=lambda one: (one.at_s, isinstance(one, Believed))):
        if isinstance(event, Believed):
            if event.node in minds:
                _turn(minds[event.node], event, book)
        elif event.life is Life.STARTED and event.at_s > 0.0 and event.node in minds:
            minds[event.node] = _Mind()
    return book.finding("P4", "burial")


def _turn(mind: _Mind, event: Believed, book: Casebook) -> None:
    before = mind.beliefs.get(event.subject)
    if event.belief in (Belief.STOPPING, Belief.LEFT):
        mind.farewells[event.subject] = None
    elif event.belief is Belief.ALIVE:
        mind.farewells.pop(event.subject, None)
    buried = event.belief is Belief.DEAD and before is Belief.UNREACHABLE
    book.looked_at += before is not event.belief is Belief.UNREACHABLE  # it might be buried next
    if buried and event.subject not in mind.farewells:
        here, known = mind.counts()
        if known < KNOWN_MIN or 2 * here <= known:
            text = (
                f"{event.node} declared {event.subject} dead at {moment(event.at_s)}, though it "
                f"reached {here} of the {known} members that it last knew"
            )
            book.blame(event.at_s, text)
    mind.beliefs[event.subject] = event.belief
