"""The pieces of a `Peer` that asking and answering touch."""

from collections.abc import Callable
from dataclasses import dataclass

from protocol.agreement.docket import Docket
from protocol.agreement.partitions import Episodes
from protocol.authoring import Authoring
from protocol.clocks import Instant
from protocol.detector.detection import MembershipEffect
from protocol.detector.membership import Membership
from protocol.effects import Effect
from protocol.identity import NodeId
from protocol.intake import Intake
from protocol.registry import Registry

from .recollection import Recollection
from .repair import Repair

Translate = Callable[[list[MembershipEffect], Instant], list[Effect]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `Outreach`, `Answers` and `Adverts` share."""

    me: NodeId
    registry: Registry
    membership: Membership
    authoring: Authoring
    repair: Repair
    intake: Intake
    docket: Docket
    episodes: Episodes
    recollection: Recollection
    translate: Translate
