"""Which instances of a service a lookup lists: filter by filter, over all of them.

There are no indexes by tag, zone or metadata. One would have to be kept up at each change, and a
pass over 10,000 instances for one filter takes as long as finding out what has changed in them
(docs/decisions/0024); it is made once for each change and query, since the answer is kept.

Rules this module keeps:

1. It lists what `Filters.misses` finds nothing against, which says why for each one.
2. What depends on the owner is found out once for each owner.
"""

from collections.abc import Iterable
from typing import Protocol

from node.api.shapes import health_seen, is_away
from node.watching.seeing import GONE
from protocol.peer import Peer
from protocol.registry import Instance


class Wanted(Protocol):
    """What a caller asks for; of all of it, an instance has to have everything."""

    @property
    def health(self) -> str | None:
        """As callers see it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All of them."""

    @property
    def version(self) -> str | None:
        """Exactly this."""

    @property
    def zone(self) -> str | None:
        """Exactly this."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """All of these pairs."""


def narrowed(instances: Iterable[Instance], wanted: Wanted, peer: Peer) -> list[Instance]:
    """Those that are shown and wanted, in the order given."""
    found = list(instances)
    for tag in wanted.tags:
        found = [one for one in found if tag in one.service.tags]
    for pair in wanted.metadata:
        found = [one for one in found if pair in one.service.metadata]
    if wanted.version is not None:
        found = [one for one in found if one.service.version == wanted.version]
    if wanted.zone is not None:
        found = [one for one in found if one.service.zone == wanted.zone]
    return _by_owner(found, wanted.health, peer)


def _by_owner(found: list[Instance], health: str | None, peer: Peer) -> list[Instance]:
    owners = {one.owner: None for one in found}
    gone = {owner for owner in owners if peer.membership.status(owner) in GONE}
    if gone:
        found = [one for one in found if one.owner not in gone]
    if health is None:
        return found
    away = {owner: is_away(peer, owner) for owner in owners}
    return [one for one in found if health_seen(one, away=away[one.owner]).value == health]
