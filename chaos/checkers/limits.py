"""What the checkers allow: every time and share that an invariant leaves open.

Rules this module keeps:

1. A limit is a promise to the people who run a cluster, not what happened to be measured: looser
   than the usual by a factor, tight enough that a broken rule is caught.
2. Every time is in seconds of the clock that stands outside all nodes.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How late, how long and how often something may go wrong before it counts as broken."""

    registration_visible_s: float = 5.0
    """From an acknowledgement, and from healing, until every core node's lookups show it.

    Roots are to be equal 3 s after a link heals; a node that was away longer than the last push
    needs one more sync.
    """
    kept_after_s: float = 1.0
    """So long after taking a commit a node must have run on for the commit to be on its disk.

    A node stores what others signed in its next group commit; who dies at once may lose it.
    """
    healed_s: float = 5.0
    """From the moment that nothing lies between two nodes until neither holds the other for away.

    The design aims at 3 s. An unreachable member is contacted every second, at random, and one
    contact makes a node check all the others.
    """
    started_s: float = 8.0
    """The same for a node that has just started or resumed.

    It reads itself back from its peers first, and what waited for it while it stood has to pass.
    """
    wrongly_unreachable_s: float = 3.0
    """How long a healthy pair may hold one another for unreachable, up to `light_loss_max`.

    The design aims at 2 s at a tenth of all datagrams lost.
    """
    wrongly_unreachable_lossy_s: float = 6.0
    """The same, up to `heavy_loss_max`: an ack takes more tries to come through."""
    light_loss_max: float = 0.1
    """The share of lost datagrams up to which the promises of time hold as they stand (0 to 1)."""
    heavy_loss_max: float = 0.3
    """The share of lost datagrams beyond which no time is judged at all (0 to 1)."""
    detection_base_s: float = 5.0
    """How soon a crash is known to everyone, up to 32 nodes; 1.0 to 1.7 s is usual."""
    detection_per_doubling_s: float = 0.5
    """What each doubling of the cluster beyond 32 nodes adds: votes travel one hop further."""
    detection_together_s: float = 10.0
    """The same where others went too, or links were cut or mended, in the seconds around.

    Each observer then has several subjects to check at once out of one budget of messages, and the
    majority of observers that certifies a verdict may be among those who went.
    """
    split_detection_s: float = 8.0
    """How soon both sides of a cut hold each other for away; 1.4 to 3 s is usual.

    Many members fall silent at once there, and the budget of messages stretches the checks.
    """

    evidence_calm_s: float = 0.05
    """From both halves of a fork being held by honest nodes until all hold the proof, in calm.

    4 ms is usual. Nothing is lost then: one lost datagram may cost a sync.
    """
    evidence_late_s: float = 0.5
    """The same where some datagrams come late or a node is slow, and none is lost."""

    report_calm_s: float = 10.0
    """How long before a cut nothing else may have happened for reports of it to be judged.

    What was cut off before has to be told apart and forgotten first.
    """
    replaced_key_s: float = 10.5
    """How long datagrams under a replaced key may still pass with who knows its successor.

    The keyring gives them 10 s, by its own clock.
    """
    statement_noted_s: float = 1.0
    """How long after it was taken a signed vote or ack may be noted: until the next sample."""

    def detection_s(self, nodes: int) -> float:
        """How soon a crash must be known to everyone in a cluster of that size, in seconds."""
        doublings = max(0.0, math.log2(max(nodes, 1) / 32))
        return self.detection_base_s + self.detection_per_doubling_s * doublings

    def wrongly_away_s(self, loss: float) -> float:
        """How long a healthy pair may be flagged at that share of lost datagrams, in seconds."""
        light = loss <= self.light_loss_max
        return self.wrongly_unreachable_s if light else self.wrongly_unreachable_lossy_s
