"""Which instance, and which owner, a request means."""

from node.http import ApiError, Request, invalid_field
from protocol.errors import MalformedError
from protocol.identity import NodeId, id_text, parse_id
from protocol.peer import Peer
from protocol.registry import Instance

from .shapes import is_shown
from .table import OWNER_ID, Parameter

OWNER = Parameter(
    "owner", "The owner's id, or `self`; needed where two owners use one id.", schema=OWNER_ID
)


def the_instance(peer: Peer, request: Request, *, listed: bool = True) -> Instance:
    """The instance that the path names, of the owner that the query names, if it names one.

    Args:
        peer: The machine, for reading.
        request: With `name` and `id` in its path.
        listed: Only what lookups list.

    Raises:
        ApiError: 404; 409 where several owners use that id; 400 for `owner`.
    """
    name, instance = request.params["name"], request.params["id"]
    owner = the_owner(peer, request)
    found = [
        one
        for one in peer.registry.instances(name)
        if one.service.id == instance
        and owner in (None, one.owner)
        and (is_shown(peer, one) or not listed)
    ]
    if not found:
        why = _why_none(peer, owner) or f"no instance {instance!r} of {name!r} is registered"
        side = peer.membership.partition().value
        raise ApiError(404, "not_found", why, headers=(("X-Kith-Partition", side),))
    if len(found) > 1:
        owners = ", ".join(sorted(id_text(one.owner) for one in found[:8]))
        raise ApiError(
            409, "conflict", f"{len(found)} owners use the id {instance!r}; say which with "
            f"?owner=: {owners}", "owner",
        )  # fmt: skip
    return found[0]


def node_of(text: str) -> NodeId | None:
    """The id that a text is, or None."""
    try:
        return parse_id(text)
    except MalformedError:
        return None


def the_owner(peer: Peer, request: Request) -> NodeId | None:
    """The owner that the query names; None where it names none. Raises ApiError, 400."""
    text = request.query.get("owner")
    if text is None:
        return None
    if text == "self":
        return peer.me
    if (owner := node_of(text)) is None:
        raise invalid_field(
            "owner", f"owner: {text[:64]!r} is no node id; give all 52 characters, or self"
        )
    return owner


def _why_none(peer: Peer, owner: NodeId | None) -> str:
    """Where the owner alone is reason enough."""
    if owner is None:
        return ""
    branch = peer.registry.branch(owner)
    if branch is None or branch.head is None:
        return f"no owner {id_text(owner)} is known here"
    if branch.reaped:
        return "its owner was gone for so long that its records were dropped; only its head is kept"
    return ""
