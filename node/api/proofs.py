"""`/v1/root` and `/v1/proofs`: what a client needs that trusts no node.

Rule this module keeps: nothing stands in a proof that its verifier does not check, so whoever reads
it believes nothing by accident. `docs/verify_proof.py` is that verifier.
"""

import base64
import time

import trio

from node.context import NodeContext
from node.http import Request, Response, SyncRoute, json_response, not_found
from node.times import format_us
from protocol.bodies import key_of
from protocol.commits import Head
from protocol.identity import id_text
from protocol.proofs import RecordProof
from protocol.signing import cluster_id

from .finding import OWNER, the_instance
from .shapes import Json
from .table import Endpoint


class ProofRoutes:
    """The handlers of `/v1/root` and `/v1/proofs`."""

    def __init__(self, context: NodeContext) -> None:
        self._peer = context.peer
        self._cluster = cluster_id(context.config.cluster)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/root", self.root),
                summary="The Merkle root over all heads; equal where the same is known.",
                answer="Root",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/proofs/services/{name}/{id}", self.service),
                summary="What proves an instance to whoever trusts nobody but its owner.",
                query=(OWNER,),
                answer="Proof",
            ),
        )

    def root(self, request: Request) -> Response:
        """`GET /v1/root`."""
        request.query.check_known()
        registry = self._peer.registry
        return json_response(
            200,
            {
                "root": registry.root.hex(),
                "owners": sum(1 for _ in registry.owners()),
                "settled_root": registry.settled_root(trio.current_time()).hex(),
                "at": format_us(time.time_ns() // 1_000),
            },
        )

    def service(self, request: Request) -> Response:
        """`GET /v1/proofs/services/{name}/{id}`."""
        request.query.check_known("owner")
        found = the_instance(self._peer, request, listed=False)
        proof = self._peer.registry.prove(found.owner, key_of(found.service))
        if proof is None:
            raise not_found("its owner's record is gone")
        return json_response(200, proof_shape(proof, self._cluster))


def head_shape(head: Head) -> dict[str, Json]:
    """A signed head as its bytes, for others to verify."""
    return {"header": base64_of(head.encoded), "signature": base64_of(head.signature)}


def base64_of(raw: bytes) -> str:
    """Raw bytes as JSON holds them."""
    return base64.b64encode(raw).decode("ascii")


def proof_shape(proof: RecordProof, cluster: bytes) -> dict[str, Json]:
    """A proof as `docs/verify_proof.py` reads it."""
    record = proof.record
    return {
        "cluster": cluster.hex(),
        "owner": id_text(proof.chain.node),
        "key_events": [base64_of(event) for event in proof.chain.packed()],
        "head": head_shape(proof.head),
        "record": {"kind": record.kind, "key": record.key, "body": base64_of(record.body)},
        "state_path": [base64_of(level) for level in proof.in_state],
        "root_path": [base64_of(level) for level in proof.in_heads],
        "root": proof.root.hex(),
    }
