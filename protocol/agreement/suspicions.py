"""Who was under votes lately, so that a report knows what it cannot know.

A cut may be mended before we found all who were away. Whoever was only under suspicion then, and
answers again, may have been on our side all the time, or on another: what it did is in no log of
ours, and nobody speaks for it.
"""

from collections.abc import Container

from protocol.detector.detection import Status, StatusChanged
from protocol.identity import NodeId


class Suspicions:
    """Until when each member was under votes; no larger than the membership."""

    def __init__(self) -> None:
        self._until: dict[NodeId, float] = {}

    def note(self, change: StatusChanged, *, now_s: float, counts: bool) -> None:
        """We believe something else of a member; `counts`: a suspicion that begins now does."""
        if change.new is Status.SUSPECT and counts:
            self._until[change.node] = float("inf")
        elif change.node in self._until:
            self._until[change.node] = now_s

    def forget(self, node: NodeId) -> None:
        """The member is no longer known."""
        self._until.pop(node, None)

    def since(self, at_s: float, without: Container[NodeId]) -> tuple[NodeId, ...]:
        """Who was under votes after that time, but for these."""
        return tuple(
            one for one, until in self._until.items() if until > at_s and one not in without
        )
