"""Instances as JSON, each encoded once for as long as it is shown the same.

Rules this module keeps:

1. What was encoded holds while the registry has that very `Instance`, and its owner is seen the
   same: its status, its record, whether it is in dispute. All of that is compared, nothing told.
2. Only services of several instances are kept here: of one alone its answer is kept, and that does.
3. What is kept is bounded in bytes; what nobody asked for the longest goes first.
4. An `Instance` that was replaced goes at once, whether anybody asks for its successor or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from weakref import ReferenceType, ref

import orjson

from node.api.shapes import instance_shape
from node.http.messages import fitted
from protocol.detector.detection import Status
from protocol.identity import NodeId
from protocol.peer import Peer
from protocol.records import NodeRecord
from protocol.registry import Instance

from .lately import Lately

FEW = 4
"""Instances that are encoded anew each time: keeping them would cost more than it spares."""
KEPT_BYTES_MAX = 24 * 1024 * 1024
"""Two services of 10,000 instances."""
KEPT_INSTANCE_BYTES = 400
"""What one takes besides its JSON: key and objects."""

_Side: TypeAlias = tuple[Status | None, NodeRecord | None, bool]


@dataclass(frozen=True, slots=True)
class _Encoded:
    found: "ReferenceType[Instance]"
    side: _Side
    data: bytes


class EncodedInstances:
    """Writes lists of instances; one that has not changed is not written again."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._kept: Lately[tuple[NodeId, str, str], _Encoded] = Lately(KEPT_BYTES_MAX, _size)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept."""
        return self._kept.bytes

    def array(self, instances: Sequence[Instance]) -> bytes:
        """A JSON array of them, in this order."""
        if len(instances) < FEW:
            return orjson.dumps([instance_shape(self._peer, one) for one in instances])
        sides: dict[NodeId, _Side] = {}
        return b"[%b]" % b",".join([self._encode(one, sides) for one in instances])

    def _encode(self, found: Instance, sides: dict[NodeId, _Side]) -> bytes:
        owner, service = found.owner, found.service
        side = sides.get(owner)
        if side is None:
            side = sides[owner] = self._side(owner)
        key = owner, service.name, service.id
        kept = self._kept.get(key)
        if kept is None or kept.found() is not found or kept.side != side:
            data = fitted(orjson.dumps(instance_shape(self._peer, found)))
            kept = _Encoded(ref(found), side, data)
            self._kept.put(key, kept)
        return kept.data

    def _side(self, owner: NodeId) -> _Side:
        registry = self._peer.registry
        branch = registry.branch(owner)
        disputed = branch is not None and branch.disputed
        return self._peer.membership.status(owner), registry.node(owner), disputed


def _size(kept: _Encoded) -> int:
    return len(kept.data) + KEPT_INSTANCE_BYTES
