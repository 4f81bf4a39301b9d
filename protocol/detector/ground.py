"""What the machines that make up one node's membership share: its identity, time, and effects.

`Membership` sets `now` before anything else happens and hands `effects` over when it is done.
"""

from dataclasses import dataclass, field
from random import Random

from protocol.identity import NodeId

from .budget import Agenda, Deed, Limiter, Occasion
from .config import MembershipConfig
from .detection import MembershipEffect, Voice
from .heartbeat import Pulse
from .roster import NEVER, Member, Roster


@dataclass(slots=True)
class Ground:
    """The common ground of `Watch`, `Judge` and `Membership`; times in seconds."""

    config: MembershipConfig
    me: NodeId
    roster: Roster
    pulse: Pulse
    voice: Voice
    rng: Random
    now: float
    agenda: Agenda = field(default_factory=Agenda)
    limiter: Limiter = field(default_factory=Limiter)
    effects: list[MembershipEffect] = field(default_factory=list)

    def passes(self, occasion: Occasion, node: NodeId, every_s: float) -> bool:
        """Whether it is long enough since this occasion last arose for that member."""
        return self.limiter.passes(occasion, node, every_s=every_s, now=self.now)

    def observes(self, node: NodeId) -> bool:
        """Whether we are one of that member's observers."""
        return self.me in self.roster.rings.observers(node)

    def expect(self, node: NodeId) -> None:
        """Expect the next heartbeat of a subject, a whole turn from now."""
        observers = len(self.roster.rings.observers(node))
        self.expect_from(node, self.now + self.config.late_after_s(observers))

    def expect_in_turn(self, member: Member) -> None:
        """Expect the next heartbeat when it is our turn again, counted from the last that came.

        A subject that answered a check in between owes us its heartbeat no later for that: else
        one check by all observers would leave it unwatched for a whole turn.
        """
        cycle_s = len(self.roster.rings.observers(member.node)) * self.config.heartbeat_interval_s
        if member.beat_at == NEVER or not cycle_s:
            self.expect(member.node)
            return
        turns = (self.now - member.beat_at) // cycle_s + 1
        due_at = member.beat_at + turns * cycle_s + self.config.grace_s
        self.expect_from(member.node, due_at)

    def expect_from(self, node: NodeId, at: float) -> None:
        """Do not take a subject for late before `at`; nothing happens for others."""
        if node in self.roster.rings and self.observes(node):
            self.agenda.put_off(Deed.LATE, node, at)
