"""`/v1/partitions`: what partitions did, as this node saw it.

The reports are kept by the machine (`protocol.agreement.partitions`), in memory: after a restart
they are gone. How conflicts were decided is looked up when somebody asks.
"""

from collections.abc import Iterator

from node.context import NodeContext
from node.guests import Guests
from node.http import Request, Response, SyncRoute, json_response
from node.times import format_us
from protocol.agreement.documents import joined
from protocol.agreement.partitions import EPISODES_MAX
from protocol.agreement.report import Contested, Cut, Diverged, Episode
from protocol.clocks import Instant
from protocol.identity import NodeId, id_text, short_id
from protocol.peer import Peer
from protocol.records import Kind

from .shapes import Json
from .table import Endpoint, at_most


class PartitionRoutes:
    """The handler of `/v1/partitions`."""

    def __init__(self, context: NodeContext, guests: Guests) -> None:
        self._peer = context.peer
        self._guests = guests

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/partitions", self.show),
                summary="What partitions did, as this node saw it; the newest first.",
                query=(at_most(EPISODES_MAX),),
                answer="Partitions",
            ),
        )

    def show(self, request: Request) -> Response:
        """`GET /v1/partitions`."""
        request.query.check_known("limit")
        most = request.query.integer("limit", default=EPISODES_MAX, low=1, high=EPISODES_MAX)
        newest = list(self._peer.episodes.newest())[:most]
        shapes = [_episode_shape(self._peer, self._guests, episode) for episode in newest]
        side = self._peer.membership.partition().value
        return json_response(200, {"partitions": shapes}, (("X-Kith-Partition", side),))


def _episode_shape(peer: Peer, guests: Guests, episode: Episode) -> dict[str, Json]:
    diverged = sorted(episode.diverged.values(), key=lambda one: (one.owner, one.key))
    return {
        "id": episode.number,
        "state": episode.side.value,
        "states": [{"state": side.value, "at": _at(at)} for side, at in episode.sides],
        "began_at": _at(episode.began),
        "contact_at": _at(episode.contact),
        "reconciled_at": _at(episode.reconciled),
        "open": episode.open,
        "exact": episode.exact,
        "cut_off": [_cut_shape(cut) for cut in episode.cuts.values()],
        "diverged": [_diverged_shape(peer, one) for one in diverged],
        "diverged_total": len(diverged) + episode.left,
        "truncated": episode.left > 0,
        "conflicts": [
            *(_document_shape(peer, one) for one in episode.contested),
            *_guest_shapes(guests, episode),
            *(_fork_shape(peer, owner) for owner in episode.forks),
        ],
    }


def _cut_shape(cut: Cut) -> dict[str, Json]:
    return {
        "id": id_text(cut.node),
        "name": cut.name,
        "since": _at(cut.since),
        "certified": cut.certified,
        "back_at": _at(cut.back_at),
        "outcome": cut.outcome.value,
    }


def _diverged_shape(peer: Peer, one: Diverged) -> dict[str, Json]:
    return {
        "owner": id_text(one.owner),
        "node": _name(peer, one.owner),
        "kind": Kind(one.key.kind).name.lower(),
        "key": one.key.key,
        "side": "here" if one.here else "there",
        "change": one.became.name.lower(),
        "version": one.version,
    }


def _fork_shape(peer: Peer, owner: NodeId) -> dict[str, Json]:
    branch = peer.registry.branch(owner)
    disputed = branch is not None and branch.disputed
    return {
        "what": "fork",
        "key": id_text(owner),
        "rule": "merge",
        "decided": "not yet: its owner has to merge both sides"
        if disputed
        else f"{_name(peer, owner)} merged both sides",
    }


def _document_shape(peer: Peer, one: Contested) -> dict[str, Json]:
    document = joined(one.key, peer.registry.document(one.key))
    decided = "settled by a later write"
    if not one.field:
        decided = "the edits of both sides merged field by field"
    elif one.field in document.conflicts:
        writer = _name(peer, document.fields[one.field][0].writer)
        decided = f"not yet: a later write settles it; meanwhile that of {writer} is shown"
    key = f"{one.key}#{one.field}" if one.field else one.key
    return {"what": "document", "key": key, "rule": one.rule, "decided": decided}


def _guest_shapes(guests: Guests, episode: Episode) -> Iterator[dict[str, Json]]:
    """Guests that hosts on both sides spoke of, and whose word counts."""
    sides: dict[str, set[bool]] = {}
    for one in episode.diverged.values():
        if one.key.kind == Kind.GUEST:
            sides.setdefault(one.key.key, set()).add(one.here)
    for guest in sorted(guest for guest, both in sides.items() if len(both) > 1):
        settled = guests.settled(guest)
        if settled is not None:
            decided = f"the word of {short_id(settled.host)} counts, of {settled.hosts} hosts"
            rule = settled.resolution.rule
            yield {"what": "guest", "key": guest, "rule": rule, "decided": decided}


def _name(peer: Peer, node: NodeId) -> str:
    record = peer.registry.node(node)
    return record.name if record else short_id(node)


def _at(at: Instant | None) -> str | None:
    return None if at is None else format_us(at.wall_us)
