"""Why a member is taken for reachable or not, in the words of `resolve`: who voted, who may.

It explains what the failure detector decided, and decides nothing.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from protocol.agreement.resolve import Resolution, Statement, reports, resolve
from protocol.detector.detection import Status
from protocol.detector.roster import MemberView

Ground: TypeAlias = Literal["majority", "own_check", "own_word", "votes", "none"]
"""A majority of the observers; no majority, but our own check or what observers are left; the
member itself said so; votes that decided nothing yet; nothing stands against it."""

GROUNDS: tuple[Ground, ...] = ("majority", "own_check", "own_word", "votes", "none")
AWAY = b"unreachable"


@dataclass(frozen=True, slots=True)
class Explained:
    """A verdict with its votes."""

    ground: Ground
    resolution: Resolution[bytes]
    """Of the votes; entitled are the observers."""


def explained(view: MemberView) -> Explained:
    """Why a member has the status that it has."""
    said = reports(Statement(voter, AWAY, AWAY, 0) for voter in view.votes)
    return Explained(_ground(view), resolve(said, view.observers))


def _ground(view: MemberView) -> Ground:
    if view.status in (Status.STOPPING, Status.LEFT):
        return "own_word"
    if view.status in (Status.UNREACHABLE, Status.DEAD):
        return "majority" if view.certified else "own_check"
    return "votes" if view.votes else "none"
