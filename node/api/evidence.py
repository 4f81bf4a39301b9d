"""`/v1/evidence`: the forks that were found, open or settled, with all that proves them.

Rule this module keeps: signatures are judged again for whoever asks. They were when the evidence
came in; but it is shown so that others may check it, and they should not have to find that it rots.
"""

from node.context import NodeContext
from node.http import Request, Response, SyncRoute, invalid_field, json_response
from node.times import format_us
from protocol.agreement.docket import Case, Settlement
from protocol.agreement.evidence import KeyFork, check_evidence, check_key_fork
from protocol.commits import Head
from protocol.errors import RemoteProtocolError
from protocol.identity import KeyEvent, id_text, short_id
from protocol.signing import Trust, cluster_id

from .finding import the_owner
from .proofs import base64_of, head_shape
from .shapes import Json
from .table import FLAG, OWNER_ID, Endpoint, Parameter, whole

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
"""Judging so many takes about 0.1 s, in which nothing else is answered."""
_FLAGS = {"true": True, "false": False}


class EvidenceRoutes:
    """The handler of `/v1/evidence`."""

    def __init__(self, context: NodeContext) -> None:
        self._peer = context.peer
        self._trust = Trust(cluster_id(context.config.cluster))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/evidence", self.show),
                summary="The forks that were found, with the signed heads that prove them.",
                query=(
                    Parameter(
                        "owner", "Only against this owner: its id, or `self`.", schema=OWNER_ID
                    ),
                    Parameter(
                        "open",
                        "`true`: only what is not settled; `false`: only what is.",
                        schema=FLAG,
                    ),
                    Parameter(
                        "limit",
                        "At most so many, 1 to 1000; 100 if not said.",
                        schema=whole(1, LIMIT_MAX),
                    ),
                ),
                answer="Evidence",
            ),
        )

    def show(self, request: Request) -> Response:
        """`GET /v1/evidence`."""
        query = request.query
        query.check_known("owner", "open", "limit")
        text = query.get("open")
        if text is not None and text not in _FLAGS:
            raise invalid_field("open", f"open: {text[:32]!r} is neither true nor false")
        limit = query.integer("limit", default=LIMIT_DEFAULT, low=1, high=LIMIT_MAX)
        owner = the_owner(self._peer, request)
        cases = [
            case
            for case in self._peer.docket.cases(owner)
            if text is None or case.open is _FLAGS[text]
        ]
        cases.sort(key=lambda case: (not case.open, -case.found_at, case.id))
        shown = [self._shape(case) for case in cases[:limit]]
        return json_response(200, {"evidence": shown, "total": len(cases)})

    def _shape(self, case: Case) -> dict[str, Json]:
        record = self._peer.registry.node(case.owner)
        reporter = case.reported_by
        return {
            "id": case.id.hex(),
            "owner": id_text(case.owner),
            "node": record.name if record else short_id(case.owner),
            **_proof(case),
            "verified": self._holds(case),
            "found_at": format_us(case.found_at),
            "reported_by": id_text(reporter) if reporter is not None else None,
            "open": case.open,
            **_settlement(case.settlement),
        }

    def _holds(self, case: Case) -> bool:
        chain = self._peer.registry.chain(case.owner)
        if chain is None:
            return False
        try:
            if isinstance(case.evidence, KeyFork):
                check_key_fork(case.evidence, chain, self._trust)
            else:
                check_evidence(case.evidence, chain, self._trust)
        except RemoteProtocolError:
            return False
        return True


def _proof(case: Case) -> dict[str, Json]:
    first, second = case.evidence.first, case.evidence.second
    if isinstance(first, KeyEvent) or isinstance(second, KeyEvent):
        events = [_event(one) for one in (first, second) if isinstance(one, KeyEvent)]
        return {"kind": "keys", "heads": [], "key_events": events}
    return {"kind": "commits", "heads": [_head(first), _head(second)], "key_events": []}


def _event(event: KeyEvent) -> dict[str, Json]:
    return {
        "hash": event.hash.hex(),
        "sequence": event.sequence,
        "event": base64_of(event.pack()),
    }


def _head(head: Head) -> dict[str, Json]:
    return {
        "hash": head.hash.hex(),
        "epoch": head.epoch,
        "version": head.version,
        "issued_at": format_us(head.issued_at),
        "parents": [parent.hex() for parent in head.parents],
        **head_shape(head),
    }


def _settlement(settlement: Settlement | None) -> dict[str, Json]:
    if settlement is None:
        return {"settled_at": None, "settled_by": None}
    by: dict[str, Json] = {"epoch": settlement.epoch}
    if settlement.merge is None:
        by = {"rule": "rotation", **by}
    else:
        merge = settlement.merge
        by = {"rule": "merge", **by, "version": merge.version, "hash": merge.hash.hex()}
    return {"settled_at": format_us(settlement.at), "settled_by": by}
