"""`/v1/owners/{id}/log`: the last commits of an owner, as one reads a log."""

from node.context import NodeContext
from node.http import Request, Response, SyncRoute, json_response, not_found
from node.times import format_us
from protocol.commits import Commit, Head
from protocol.identity import NodeId, id_text, short_id
from protocol.limits import HEADERS_KEPT
from protocol.records import Kind

from .finding import node_of
from .shapes import Json
from .table import Endpoint, at_most

CHANGES_SHOWN = 32
"""Changes named of one commit; `changes_total` counts all."""


class OwnerRoutes:
    """The handler of `/v1/owners/{id}/log`."""

    def __init__(self, context: NodeContext) -> None:
        self._peer = context.peer

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/owners/{id}/log", self.log),
                summary="The last commits of an owner, the newest first.",
                query=(at_most(HEADERS_KEPT),),
                answer="Log",
            ),
        )

    def log(self, request: Request) -> Response:
        """`GET /v1/owners/{id}/log`."""
        request.query.check_known("limit")
        limit = request.query.integer("limit", default=HEADERS_KEPT, low=1, high=HEADERS_KEPT)
        owner = self._owner(request.params["id"])
        branch = self._peer.registry.branch(owner) if owner is not None else None
        if owner is None or branch is None or branch.head is None:
            raise not_found(f"no owner {request.params['id']!r} is known here; give all 52 letters")
        record = self._peer.registry.node(owner)
        steps = branch.kept()[::-1]
        shapes = [_commit_shape(commit) for commit in steps]
        if not steps or steps[0].head.hash != branch.head.hash:
            # A manifest brought the newest state: its head is known, the way to it is not.
            shapes = [_head_shape(branch.head), *shapes]
        return json_response(
            200,
            {
                "owner": id_text(owner),
                "node": record.name if record else short_id(owner),
                "epoch": branch.chain.epoch,
                "reaped": branch.reaped,
                "disputed": branch.disputed,
                "records": len(branch.records),
                "commits": shapes[:limit],
            },
        )

    def _owner(self, text: str) -> NodeId | None:
        return self._peer.me if text == "self" else node_of(text)


def _head_shape(head: Head) -> dict[str, Json]:
    return {
        "hash": head.hash.hex(),
        "epoch": head.epoch,
        "version": head.version,
        "parents": [parent.hex() for parent in head.parents],
        "merge": len(head.parents) > 1,
        "issued_at": format_us(head.issued_at),
        "state_root": head.state_root.hex(),
    }


def _commit_shape(commit: Commit) -> dict[str, Json]:
    changes = commit.changes()
    named: list[Json] = [
        {
            "kind": Kind(change.kind).name.lower(),
            "key": change.key,
            "change": "removed" if change.body is None else "set",
        }
        for change in changes[:CHANGES_SHOWN]
    ]
    return {**_head_shape(commit.head), "changes": named, "changes_total": len(changes)}
