"""`/v1/explain`: why an instance is in the answer of a lookup, or out of it, or not passing.

Each reason has a code for programs, a sentence for people, and an effect: what it does to the
instance. `in` is what a lookup with the same filters does, asked of the very code that does it; and
an instance is out if, and only if, one of its reasons has the effect `out`.

Rules this module keeps:

1. Nothing is taken as said: the signature and the way up to the signed state root are judged again.
2. Every instance that the registry holds is explained, up to `EXPLAINED_MAX`, listed or not.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

import trio

from node.context import NodeContext
from node.http import Request, Response, SyncRoute, json_response
from node.times import format_us
from node.watching.seeing import AWAY, GONE
from protocol import rules
from protocol.bodies import key_of
from protocol.branch import Branch
from protocol.commits import digest, path_of
from protocol.detector.detection import Status
from protocol.detector.roster import MemberView
from protocol.errors import ProposalError
from protocol.identity import NodeId, id_text, short_id
from protocol.proofs import root_of
from protocol.records import Health
from protocol.registry import Instance
from protocol.signing import Trust, cluster_id

from .answers.nearest import by_id
from .lookup import LOOKUP_QUERY, Filters, Lookups, filters_of
from .shapes import Json, health_of
from .table import Endpoint

EXPLAINED_MAX = 1_000
"""Instances explained in one answer; more would hold up everything else for 0.1 s and longer."""
_NAMED_MAX = 8

Effect: TypeAlias = Literal["none", "warning", "critical", "maintenance", "out"]

CODES: Mapping[str, str] = MappingProxyType(
    {
        "signed": "its owner signed it: by which key, in which commit; judged again just now",
        "not_proved": "what is held does not come out as signed; a bug, or a broken memory",
        "key_replaced": "signed with a key that its owner has replaced since",
        "revoked": "its owner has revoked its identity: nothing newer will be taken",
        "record_valid": "the record keeps every rule",
        "record_invalid": "the record breaks a rule of this version",
        "no_checks": "it has no checks, so it passes while its node lives",
        "check_passing": "a check passes",
        "check_warning": "a check warns",
        "check_critical": "a check is critical",
        "maintenance": "it was taken out for maintenance",
        "node_alive": "its node is reached",
        "node_suspect": "somebody could not reach its node; still listed",
        "node_unreachable": "its node is unreachable, certified by its observers or from here",
        "node_dead": "its node is dead",
        "node_stopping": "its node said that it stops, and means to return",
        "node_left": "its node said that it has left for good",
        "node_unknown": "no member of that id is known here",
        "disputed": "its owner signed two commits that cannot both stand",
        "filter_health": "left out by `health`",
        "filter_tag": "left out by `tag`",
        "filter_meta": "left out by `meta.KEY`",
        "filter_version": "left out by `version`",
        "filter_zone": "left out by `zone`",
        "filter_limit": "comes after as many as `limit` lets in",
        "no_instance": "(note) nothing of that name is held here",
        "owners_reaped": "(note) owners were gone so long that their records were dropped",
        "side": "(note) this node reaches half of the members or fewer: this may be old",
    }
)
"""Every code, with what it says."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for or against an instance."""

    code: str
    effect: Effect
    because: str
    facts: Mapping[str, Json] = field(default_factory=dict)

    def shape(self) -> dict[str, Json]:
        """As JSON."""
        return {"code": self.code, "effect": self.effect, "because": self.because, **self.facts}


class ExplainRoutes:
    """The handler of `/v1/explain`."""

    def __init__(self, context: NodeContext, lookups: Lookups) -> None:
        self._peer = context.peer
        self._trust = Trust(cluster_id(context.config.cluster))
        self._lookups = lookups

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/explain/services/{name}", self.explain),
                summary="Why each instance is in the answer of that lookup or out, passing or not.",
                query=LOOKUP_QUERY,
                answer="Explanation",
            ),
        )

    def explain(self, request: Request) -> Response:
        """`GET /v1/explain/services/{name}`."""
        name, filters = request.params["name"], filters_of(request)
        listed = self._lookups.matching(name, filters)
        places = {(one.owner, one.service.id): place for place, one in enumerate(listed)}
        others = [
            one
            for one in self._peer.registry.instances(name)
            if (one.owner, one.service.id) not in places
        ]
        everything = [*listed, *sorted(others, key=by_id)]
        shown: list[Json] = []
        signed: dict[NodeId, bool] = {}
        for found in everything[:EXPLAINED_MAX]:
            place = places.get((found.owner, found.service.id))
            reasons = [*self._standing(found, signed), *self._filters(found, filters, place)]
            shown.append(
                self._shape(found, reasons, is_in=place is not None and place < filters.limit)
            )
        document = {
            "service": name,
            "instances": shown,
            "total": len(everything),
            "notes": [note.shape() for note in self._notes(name, known=bool(everything))],
        }
        side = self._peer.membership.partition().value
        return json_response(200, document, (("X-Kith-Partition", side),))

    def _shape(self, found: Instance, reasons: list[Reason], *, is_in: bool) -> dict[str, Json]:
        return {
            "id": found.service.id,
            "owner": id_text(found.owner),
            "node": self._name(found.owner),
            "in": is_in,
            "health": health_of(self._peer, found).value,
            "reasons": [reason.shape() for reason in reasons],
        }

    def _standing(self, found: Instance, signed: dict[NodeId, bool]) -> Iterator[Reason]:
        """What is so whatever was asked for."""
        branch = self._peer.registry.branch(found.owner)
        if branch is not None:
            yield self._signature(found, branch, signed)
            yield from _keys(branch)
        yield _record(found)
        yield from _checks(found)
        if found.service.maintenance is not None:
            reason = found.service.maintenance or "no reason given"
            yield Reason("maintenance", "maintenance", f"in maintenance: {reason}")
        yield self._member(found.owner)
        if branch is not None and branch.disputed:
            yield self._dispute(found.owner)

    def _signature(self, found: Instance, branch: Branch, signed: dict[NodeId, bool]) -> Reason:
        head, owner = branch.head, found.owner
        proof = self._peer.registry.prove(owner, key_of(found.service))
        if head is None or proof is None:
            return Reason("not_proved", "none", "its record is not in the state that is held")
        key = branch.chain.key_of(head.epoch)
        if owner not in signed:
            signed[owner] = key is not None and head.signed_by(key, self._trust)
        record = proof.record
        path = path_of(record.kind, record.key)
        if (
            not signed[owner]
            or root_of(proof.in_state, path, digest(record.body)) != head.state_root
        ):
            return Reason("not_proved", "none", "what is held does not come out as signed")
        said = found.service.updated_at
        return Reason(
            "signed",
            "none",
            f"{self._name(owner)} ({short_id(owner)}) signed it with its key of epoch "
            f"{head.epoch}, in commit {head.version}, {_ago(head.issued_at)}; "
            f"it last changed {_ago(said)}",
            {
                "signed_by": id_text(owner),
                "epoch": head.epoch,
                "version": head.version,
                "commit": head.hash.hex(),
                "issued_at": format_us(head.issued_at),
                "changed_at": format_us(said),
            },
        )

    def _member(self, owner: NodeId) -> Reason:
        view = self._peer.membership.view(owner)
        name = self._name(owner)
        if view is None:
            return Reason("node_unknown", "critical", f"no member {short_id(owner)} is known here")
        status = view.status
        effect: Effect = "none"
        if status in AWAY:
            effect = "critical"
        elif status in GONE:
            effect = "out"
        facts: dict[str, Json] = {
            "status": status.value,
            "certified": view.certified,
            "for_s": round(max(0.0, trio.current_time() - view.since), 3),
            "voted": [self._who(voter) for voter in view.votes],
            "entitled": [self._who(observer) for observer in view.observers],
            "needed": view.needed,
        }
        return Reason(f"node_{status.value}", effect, f"{name} {_of_status(view)}", facts)

    def _dispute(self, owner: NodeId) -> Reason:
        cases = [case.id.hex() for case in self._peer.docket.open_cases(owner)]
        count = f"{len(cases)} forks" if len(cases) > 1 else "a fork"
        return Reason(
            "disputed",
            "critical",
            f"{self._name(owner)} signed {count} that no merge has settled yet",
            {"evidence": cases},
        )

    def _filters(self, found: Instance, filters: Filters, place: int | None) -> Iterator[Reason]:
        for miss in filters.misses(found, self._peer):
            has = miss.has or "nothing"
            yield Reason(
                f"filter_{miss.filter}",
                "out",
                f"left out by {miss.filter}: asked for {miss.wanted}, it has {has}",
                {"wanted": miss.wanted, "has": miss.has},
            )
        if place is not None and place >= filters.limit:
            yield Reason(
                "filter_limit",
                "out",
                f"left out by limit: it is number {place + 1}, {filters.limit} were asked for",
                {"wanted": str(filters.limit), "has": str(place + 1)},
            )

    def _notes(self, name: str, *, known: bool) -> Iterator[Reason]:
        registry, side = self._peer.registry, self._peer.membership.partition().value
        if side in ("minority", "even"):
            yield Reason("side", "none", f"this node is on the {side} side: this may be old")
        if known:
            return
        yield Reason(
            "no_instance", "none", f"no owner that is known here has an instance of {name}"
        )
        reaped = [
            owner for owner in registry.owners() if (b := registry.branch(owner)) and b.reaped
        ]
        if reaped:
            yield Reason(
                "owners_reaped",
                "none",
                f"{len(reaped)} owners were gone for so long that their records were dropped",
                {"owners": [id_text(owner) for owner in reaped[:_NAMED_MAX]]},
            )

    def _who(self, node: NodeId) -> dict[str, Json]:
        return {"id": id_text(node), "node": self._name(node)}

    def _name(self, node: NodeId) -> str:
        record = self._peer.registry.node(node)
        return record.name if record else short_id(node)


def _keys(branch: Branch) -> Iterator[Reason]:
    if branch.chain.revoked:
        yield Reason("revoked", "none", "its owner has revoked its identity: nothing newer counts")
    elif branch.head is not None and branch.head.epoch < branch.chain.epoch:
        now = branch.chain.epoch
        yield Reason("key_replaced", "none", f"its owner signs with its key of epoch {now} by now")


def _record(found: Instance) -> Reason:
    try:
        rules.check_service(found.service)
    except ProposalError as error:
        return Reason("record_invalid", "none", f"{error.field}: {error.message}")
    return Reason("record_valid", "none", "the record keeps every rule")


def _checks(found: Instance) -> Iterator[Reason]:
    if not found.service.checks:
        yield Reason("no_checks", "none", "it has no checks: it passes while its node lives")
    for check in found.service.checks:
        status = check.status
        effect: Effect = "none"
        if status is Health.CRITICAL:
            effect = "critical"
        elif status is Health.WARNING:
            effect = "warning"
        said = f": {check.output}" if check.output else ""
        yield Reason(
            f"check_{status.value}",
            effect,
            f"{check.type.value} check {check.id} is {status.value}{said}",
            {"check": check.id, "output": check.output, "since": format_us(check.changed_at)},
        )


def _of_status(view: MemberView) -> str:  # noqa: PLR0911 (a return a case)
    """What a member's status is, and on whose word."""
    counted = sum(1 for voter in view.votes if voter in view.observers)
    votes = f"{counted} of its {len(view.observers)} observers could not reach it"
    match view.status:
        case Status.ALIVE:
            return "is alive"
        case Status.SUSPECT:
            return f"is suspect: {votes}, {view.needed} certify"
        case Status.UNREACHABLE if view.certified:
            return f"is unreachable, certified: {votes}"
        case Status.UNREACHABLE:
            return f"is unreachable from here, not certified: {votes}, {view.needed} certify"
        case Status.DEAD:
            return f"is dead: {votes}, and did not return"
        case Status.STOPPING:
            return "said that it stops, and means to return"
        case Status.LEFT:
            return "said that it has left for good"


def _ago(unix_us: int) -> str:
    seconds = max(0.0, time.time_ns() / 1e9 - unix_us / 1e6)
    return f"{seconds:.1f} s ago" if seconds < 600 else f"at {format_us(unix_us)}"
