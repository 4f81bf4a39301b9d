"""What is done with commits as they come in datagrams, and with word of commits that others hold.

    PUSH    judged and applied by `intake`
    ADVERT  asked for where it is newer than ours: by WANT if we hold an earlier one, else by FETCH
    WANT    answered by PUSH, as far as the steps are kept. If they are not, or if the asker holds
            what we do not know (its owner may have forked), by an ADVERT that has it fetch

Rules this module keeps:

1. Nothing is asked for twice in a short time, whoever advertises it (`dissemination`).
2. An advert of a commit of our own that we have forgotten is a reason to fetch that state and merge
   it; whoever sends it has just replaced it by what we signed since (`displaced`).
"""

from collections.abc import Callable

from protocol import limits
from protocol.clocks import Instant
from protocol.commits import NOTHING
from protocol.dissemination import Dissemination, Told, pushes_of, want_of
from protocol.effects import Effect
from protocol.identity import NodeId
from protocol.intake import Source
from protocol.wire.messages import Advert, Advertised, Push, Want

from .outreach import Outreach
from .surroundings import Surroundings


class Adverts:
    """Handles pushes, adverts and wants of members."""

    def __init__(
        self,
        around: Surroundings,
        outreach: Outreach,
        dissemination: Dissemination,
        tell: Callable[[list[Told]], list[Effect]],
    ) -> None:
        self._around = around
        self._outreach = outreach
        self._dissemination = dissemination
        self._tell = tell

    def pushed(self, push: Push, source: Source, now: Instant) -> list[Effect]:
        """Take in the commits of a push."""
        effects: list[Effect] = []
        for commit in push.commits:
            owner = commit.head.owner
            known = self._around.registry.branch(owner) is not None
            events = () if known else push.inception_of(owner)
            taken = self._around.intake.steps((commit,), events, source, now)
            effects += self._outreach.take(taken, source)
        return effects

    def advertised(self, advert: Advert, node: NodeId, now: Instant) -> list[Effect]:
        """Ask for what is newer than what we hold."""
        around, effects = self._around, list[Effect]()
        for item in advert.items:
            branch = around.registry.branch(item.owner)
            ours = branch.dot if branch else NOTHING
            if item.owner == around.me:
                if around.authoring.forgot(item.dot, item.hash):
                    effects += self._outreach.fetch(around.me, node, whole=True, state=item.hash)
                continue
            if not self._dissemination.wants(item, ours, now=now.mono_s):
                continue
            if item.large or branch is None or branch.head is None:
                effects += self._outreach.fetch(item.owner, node, expects=item.dot)
            else:
                effects += self._tell([Told((node,), want_of(item.owner, branch.head.hash))])
        return effects

    def wanted(self, want: Want, node: NodeId) -> list[Effect]:
        """Send the steps that a member lacks."""
        told: list[Told] = []
        for owner, known in want.items:
            branch = self._around.registry.branch(owner)
            steps = branch.since(known) if branch else []
            if steps is not None and len(steps) <= limits.HEADERS_KEPT:
                told += [Told((node,), push) for push in pushes_of(steps, b"")]
            elif branch is not None and branch.head is not None:
                head = branch.head
                ours = Advertised(owner, head.dot, head.hash, large=True)
                told.append(Told((node,), Advert((ours,))))
        return self._tell(told)
