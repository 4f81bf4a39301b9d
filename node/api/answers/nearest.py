"""The nearest instances first: by the round trip to their owners, as it was measured.

Rules this module keeps:

1. Of equally distant ones, and of those whose distance is not known, which come last, the order is
   that of ids.
2. Only so many are sorted as are asked for.
"""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from math import inf

from protocol.detector.distances import Distances
from protocol.identity import NodeId
from protocol.registry import Instance


def by_id(found: Instance) -> tuple[str, bytes]:
    """The order of lookups."""
    return found.service.id, found.owner


def nearest(found: Sequence[Instance], distances: Distances, limit: int) -> list[Instance]:
    """The first `limit` of them."""
    rtts = {owner: _rtt_s(distances, owner) for owner in owners_of(found)}

    def by_distance(one: Instance) -> tuple[float, str, bytes]:
        return rtts[one.owner], one.service.id, one.owner

    if limit < len(found):
        return nsmallest(limit, found, key=by_distance)
    return sorted(found, key=by_distance)


def owners_of(found: Iterable[Instance]) -> dict[NodeId, None]:
    """Each once, in the order given."""
    return dict.fromkeys([one.owner for one in found])


def _rtt_s(distances: Distances, owner: NodeId) -> float:
    rtt_s = distances.rtt_s(owner)
    return inf if rtt_s is None else rtt_s
