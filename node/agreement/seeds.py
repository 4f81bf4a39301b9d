"""Notes where the seeds that this node asks disagree: who left whom out, who is behind.

It decides nothing: what seeds send is verified record by record, and the newest counts.
"""

import trio

from node import logs
from node.context import NodeContext
from protocol.agreement.peer_lists import NOT_LISTED, PeerList, differences
from protocol.events import Event, Joined
from protocol.identity import NodeId, short_id

from .tally import Tally

log = logs.get()

COMPARED_S = 3.0
"""Lists older than this are not compared with a new one: the cluster has moved on."""
LISTS_MAX = 16
"""Lists kept for comparison, of as many nodes; the oldest goes."""
NOTED_MAX = 20_000
"""Differences remembered so that each is noted once."""


class SeedLists:
    """Compares the lists of those whom this node joined at.

    Args:
        context: The running node.
        tally: Counts where lists differ.
    """

    def __init__(self, context: NodeContext, tally: Tally) -> None:
        self._peer = context.peer
        self._tally = tally
        self._lists: dict[NodeId, tuple[float, PeerList]] = {}
        self._noted: dict[tuple[NodeId, NodeId], None] = {}
        context.driver.listen(self._heard)

    def _heard(self, event: Event) -> None:
        if isinstance(event, Joined) and event.node is not None and event.told is not None:
            self._compare(event.node, event.told, trio.current_time())

    def _compare(self, node: NodeId, told: PeerList, now: float) -> None:
        self._lists.pop(node, None)
        self._lists[node] = now, told
        for other, (at, _) in list(self._lists.items()):
            if at < now - COMPARED_S or len(self._lists) > LISTS_MAX:
                del self._lists[other]
        lists = {other: one for other, (_, one) in self._lists.items()}
        if len(lists) < 2:
            return
        lacking: dict[NodeId, list[int]] = {}
        for one in differences(lists, self._peer.registry.vector()):
            fresh = False
            for blamed in one.resolution.discrepancies:
                place = blamed.voter, one.owner
                if place not in self._noted:
                    fresh, self._noted[place] = True, None
                    lacking.setdefault(blamed.voter, [0, 0])[blamed.value != NOT_LISTED] += 1
            if fresh:
                self._tally.note("peers", one.resolution)
        while len(self._noted) > NOTED_MAX:
            del self._noted[next(iter(self._noted))]
        for seed, (missing, older) in sorted(lacking.items()):
            log.info("seeds_disagree", seed=short_id(seed), not_listed=missing, older=older)
