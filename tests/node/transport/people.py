"""Identities for the tests of the transports."""

from protocol import signing
from protocol.identity import INCEPTION, KeyChain, NodeId, commitment, make_event
from protocol.wire.handshake import Credentials

CLUSTER = signing.cluster_id("test")


def credentials(owner: int, *, cluster: bytes = CLUSTER) -> Credentials:
    key = signing.KeyPair(owner.to_bytes(32, "big"))
    event = make_event(
        INCEPTION, previous=None, key=key, next_commitment=commitment(bytes(32)), cluster=cluster
    )
    return Credentials(KeyChain(NodeId(event.hash), (event,)), key, cluster)


ALICE, BOB, MALLORY = credentials(1), credentials(2), credentials(3)
ALICE_ID, BOB_ID, MALLORY_ID = (one.chain.node for one in (ALICE, BOB, MALLORY))
