"""Where those whom a newcomer asked disagree about who is there.

A newcomer asks all its seeds for all they hold, verifies each record itself and takes the union at
the highest versions; so it needs no vote to know what is true. What their lists lack is worth
knowing all the same: a seed that leaves somebody out, or is behind, is cut off, slow, or lies.

Rule this module keeps: only what was verified counts; a list that boasts of more proves nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from protocol.clocks import VersionVector
from protocol.commits import Dot
from protocol.identity import NodeId
from protocol.wire import codec

from .resolve import Resolution, Statement, reports, resolve

NOT_LISTED = b""
"""The value of a list that lacks an owner."""


@dataclass(frozen=True, slots=True)
class PeerList:
    """What one node listed, and what we held when we asked: of that it lists only what differs."""

    held: tuple[NodeId, ...] = ()
    listed: Mapping[NodeId, Dot] | None = None

    def with_more(self, dots: Iterable[tuple[NodeId, Dot]]) -> "PeerList":
        """The same with what another frame of the answer lists."""
        return replace(self, listed={**(self.listed or {}), **dict(dots)})


@dataclass(frozen=True, slots=True)
class Difference:
    """Lists that do not agree on one owner; values are dots as bytes, or `NOT_LISTED`."""

    owner: NodeId
    resolution: Resolution[bytes]


def differences(
    lists: Mapping[NodeId, PeerList], verified: VersionVector
) -> tuple[Difference, ...]:
    """On whom the lists of these nodes differ, by owner.

    Args:
        lists: by the node that told it.
        verified: what we hold of each owner now, which was checked.
    """
    owners = sorted({owner: None for one in lists.values() for owner in one.listed or {}})
    held = {node: dict.fromkeys(one.held) for node, one in lists.items()}
    found = []
    for owner in owners:
        said = {
            node: (one.listed or {}).get(owner)
            for node, one in sorted(lists.items())
            if owner not in held[node] or owner in (one.listed or {})
        }
        result = _settled(owner, said, verified.get(owner))
        if result.discrepancies:
            found.append(Difference(owner, result))
    return tuple(found)


def _settled(
    owner: NodeId, said: Mapping[NodeId, Dot | None], verified: Dot | None
) -> Resolution[bytes]:
    known = {
        node: dot
        for node, dot in said.items()
        if dot is None or (verified is not None and dot <= verified)
    }
    order: Sequence[Dot] = sorted({dot: None for dot in known.values() if dot is not None})
    counters = {dot: place + 1 for place, dot in enumerate(order)}
    statements = []
    for node, dot in known.items():
        clock = ((owner, counters[dot]),) if dot is not None else ()
        value = codec.pack(dot) if dot is not None else NOT_LISTED
        statements.append(Statement(node, value, value, 0, clock))
    return resolve(reports(statements), known)
