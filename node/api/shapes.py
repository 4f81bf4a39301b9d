"""Records and members as the JSON of answers. What is shown here is public, and its shape fixed."""

import base64
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from node.agreement.verdicts import explained
from node.agreement.vouching import Settled
from node.reachability import Experience
from node.times import format_us
from node.watching.seeing import GONE, is_critical
from protocol.detector.roster import MemberView
from protocol.identity import Address, NodeId, id_text, short_id
from protocol.peer import Peer
from protocol.records import CheckRecord, Health, NodeRecord
from protocol.registry import Instance
from protocol.sync.credit import Account

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"


def health_of(peer: Peer, found: Instance) -> Health:
    """An instance's health as callers should take it: also its owner's reachability counts."""
    return health_seen(found, away=is_away(peer, found.owner))


def health_seen(found: Instance, *, away: bool) -> Health:
    """`health_of`, where it is known whether its owner `is_away`."""
    health = found.service.health
    return Health.CRITICAL if away and health is not Health.MAINTENANCE else health


def is_away(peer: Peer, owner: NodeId) -> bool:
    """Whether nothing of an owner counts as passing: it cannot be reached, or is in dispute."""
    branch = peer.registry.branch(owner)
    disputed = branch is not None and branch.disputed
    return is_critical(peer.membership.status(owner), disputed=disputed)


def is_shown(peer: Peer, found: Instance) -> bool:
    """Whether lookups list it: not of owners who said that they stop or have left."""
    return peer.membership.status(found.owner) not in GONE


def instance_shape(peer: Peer, found: Instance) -> dict[str, Json]:
    """An instance as `GET /v1/services/{name}` lists it."""
    service, owner = found.service, id_text(found.owner)
    record = peer.registry.node(found.owner)
    status = peer.membership.status(found.owner)
    branch = peer.registry.branch(found.owner)
    shape: dict[str, Json] = {
        "id": service.id,
        "address": service.address,
        "port": service.port,
        "tags": list(service.tags),
        "metadata": dict(service.metadata),
        "version": service.version,
        "weight": service.weight,
        "zone": service.zone,
        "health": health_of(peer, found).value,
        "checks": [check_shape(check) for check in service.checks],
        "owner": owner,
        "node": record.name if record else short_id(found.owner),
        "node_status": status.value if status else "unknown",
        "signed_by": owner,
        "disputed": branch is not None and branch.disputed,
        "last_updated": format_us(service.updated_at),
    }
    if service.maintenance is not None:
        shape["maintenance"] = service.maintenance
    return shape


def check_shape(check: CheckRecord) -> dict[str, Json]:
    """A check and what it found."""
    return {
        "id": check.id,
        "type": check.type.value,
        "status": check.status.value,
        "output": check.output,
        "last_checked": format_us(check.changed_at),
    }


def node_shape(node: NodeId, record: NodeRecord, view: MemberView | None) -> dict[str, Json]:
    """A node as `GET /v1/peers` lists it."""
    shape: dict[str, Json] = {
        "id": id_text(node),
        "name": record.name,
        "address": str(Address(record.host, record.port)),
        "api_address": str(Address(record.api_host, record.api_port)),
        "metrics_port": record.metrics_port or record.api_port,
        "node_type": record.node_type.value,
        "is_load_balancer": record.is_load_balancer,
        "capabilities": list(record.capabilities),
        "zone": record.zone,
        "region": record.region,
        "metadata": dict(record.metadata),
        "version": record.software,
        "status": view.status.value if view else "unknown",
        "certified": view.certified if view else False,
        "incarnation": view.incarnation if view else record.incarnation,
        "last_updated": format_us(record.updated_at),
    }
    if view is not None and view.rtt_s is not None:
        shape["rtt_ms"] = round(view.rtt_s * 1_000, 3)
    return shape


def verdict_shape(view: MemberView) -> dict[str, Json]:
    """Why a member has its status: which observers voted against it, of how many."""
    why = explained(view)
    voters = why.resolution.votes[0].voters if why.resolution.votes else ()
    others = [one.voter for one in why.resolution.discrepancies if one.blame == "not_entitled"]
    return {
        "rule": why.ground,
        "entitled": why.resolution.entitled,
        "needed": view.needed,
        "votes": [id_text(voter) for voter in voters],
        "not_entitled": [id_text(voter) for voter in others],
    }


def reachability_shape(experience: Experience) -> dict[str, Json]:
    """This node's own experience with a peer's streams, newest request last."""
    history: list[Json] = []
    for one in experience.history:
        attempt: dict[str, Json] = {"at": format_us(one.at_us), "ok": one.ok}
        attempt["took_ms"] = round(one.took_s * 1_000, 3)
        if not one.ok:
            attempt["reason"] = one.reason
        history.append(attempt)
    return {
        "score": round(experience.score, 3),
        "strikes": experience.strikes,
        "history": history,
    }


def credit_shape(account: Account) -> dict[str, Json]:
    """What a peer's word has been worth to this node."""
    return {
        "score": round(account.score, 3),
        "withheld": account.withheld,
        "lies": account.lies,
    }


def guest_shape(settled: Settled) -> dict[str, Json]:
    """A guest as `GET /v1/peers` lists it."""
    guest = settled.record
    return {
        "id": guest.id,
        "name": guest.id,
        "address": guest.address,
        "metrics_port": guest.metrics_port,
        "node_type": guest.node_type.value,
        "is_load_balancer": guest.is_load_balancer,
        "capabilities": list(guest.capabilities),
        "status": "critical" if guest.critical else "alive",
        "last_updated": format_us(guest.last_updated),
        "host": id_text(settled.host),
        "hosts": settled.hosts,
        "has_key": bool(guest.public_key),
        "signed_by": _signer_of(settled),
    }


def _signer_of(settled: Settled) -> str:
    """The guest's own key, as it sends it; or the id of the host that vouches for it."""
    key = settled.record.public_key
    return base64.b64encode(key).decode() if key else id_text(settled.host)
