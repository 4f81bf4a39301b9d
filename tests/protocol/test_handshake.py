"""Two nodes prove who they are; everybody else is refused with the documented code."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import signing
from protocol.errors import LocalProtocolError, RefusedError, RemoteProtocolError
from protocol.identity import (
    INCEPTION,
    KEY_EVENTS_MAX,
    REVOCATION,
    ROTATION,
    KeyChain,
    KeyEvent,
    NodeId,
    commitment,
    make_event,
)
from protocol.wire import codec
from protocol.wire.handshake import (
    HELLO_BYTES_MAX,
    PROOF_BYTES_MAX,
    Credentials,
    Handshake,
    Role,
    Session,
    refusal,
)

CLUSTER = signing.cluster_id("test")


def key(owner: int, epoch: int) -> signing.KeyPair:
    return signing.KeyPair(owner.to_bytes(2, "big") * 8 + epoch.to_bytes(2, "big") * 8)


def credentials(owner: int, *, rotations: int = 0, cluster: bytes = CLUSTER) -> Credentials:
    events: list[KeyEvent] = []
    for epoch in range(rotations + 1):
        event = make_event(
            ROTATION if epoch else INCEPTION,
            previous=events[-1] if events else None,
            key=key(owner, epoch),
            next_commitment=commitment(key(owner, epoch + 1).public_key),
            cluster=cluster,
        )
        events.append(event)
    chain = KeyChain(NodeId(events[0].hash), tuple(events))
    return Credentials(chain, key(owner, rotations), cluster)


def revoked(owner: int) -> Credentials:
    before = credentials(owner)
    last = make_event(
        REVOCATION,
        previous=before.chain.events[0],
        key=key(owner, 1),
        next_commitment=bytes(32),
        cluster=CLUSTER,
    )
    chain = KeyChain(before.chain.node, (*before.chain.events, last))
    return Credentials(chain, key(owner, 1), CLUSTER)


ALICE, BOB, MALLORY = credentials(1), credentials(2, rotations=2), credentials(3)


def client(ours: Credentials = ALICE, expected: NodeId | None = None, nonce: int = 1) -> Handshake:
    return Handshake(Role.CLIENT, ours, nonce=nonce.to_bytes(32, "big"), expected=expected)


def server(ours: Credentials = BOB, expected: NodeId | None = None, nonce: int = 2) -> Handshake:
    return Handshake(Role.SERVER, ours, nonce=nonce.to_bytes(32, "big"), expected=expected)


def test_both_sides_learn_who_the_other_is() -> None:
    alice, bob = client(expected=BOB.chain.node), server()

    alices_proof, bobs_proof = alice.receive_hello(bob.hello), bob.receive_hello(alice.hello)

    assert alice.receive_proof(bobs_proof) == Session(BOB.chain.node, BOB.chain, version=1)
    assert bob.receive_proof(alices_proof) == Session(ALICE.chain.node, ALICE.chain, version=1)


def test_every_message_fits_its_announced_limit_with_the_longest_chain() -> None:
    longest = credentials(4, rotations=KEY_EVENTS_MAX - 1)
    alice, bob = client(), server(longest)

    proof = bob.receive_hello(alice.hello)

    assert len(bob.hello) <= HELLO_BYTES_MAX
    assert len(proof) <= PROOF_BYTES_MAX
    assert max(len(refusal(code)) for code in ("unknown_version", "unknown_sender")) <= 128


def expect_refusal(code: str, judge: Handshake, hello: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        judge.receive_hello(hello)
    assert refused.value.code == code
    with pytest.raises(LocalProtocolError):
        judge.receive_proof(b"")


def test_a_node_of_another_cluster_is_refused() -> None:
    foreigner = credentials(5, cluster=signing.cluster_id("other"))

    expect_refusal("wrong_cluster", server(), client(foreigner).hello)


def test_a_chain_signed_for_another_cluster_is_refused() -> None:
    smuggler = replace(credentials(5, cluster=signing.cluster_id("other")), cluster=CLUSTER)

    expect_refusal("bad_signature", server(), client(smuggler).hello)


def test_a_client_refuses_another_node_than_it_expected() -> None:
    expect_refusal("foreign", client(expected=BOB.chain.node), server(MALLORY).hello)


def test_a_server_refuses_a_client_that_expected_another_node() -> None:
    expect_refusal("foreign", server(), client(expected=MALLORY.chain.node).hello)


def test_a_revoked_identity_is_refused() -> None:
    expect_refusal("bad_signature", server(), client(revoked(6)).hello)


def test_ones_own_hello_sent_back_is_refused() -> None:
    alice = client()

    expect_refusal("replayed", alice, alice.hello)


def test_ones_own_id_with_another_nonce_is_refused() -> None:
    expect_refusal("replayed", client(), server(ALICE).hello)


def test_ones_own_nonce_under_another_id_is_refused() -> None:
    expect_refusal("replayed", client(nonce=7), server(MALLORY, nonce=7).hello)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (2, 2), (9, 65_535)])
def test_versions_without_overlap_are_refused(low: int, high: int) -> None:
    hello = hello_with(version_min=low, version_max=high)

    expect_refusal("unknown_version", server(), hello)


def test_the_highest_common_version_is_taken() -> None:
    bob, hello = server(), hello_with(version_min=0, version_max=9)

    bob.receive_hello(hello)

    assert bob._theirs is not None
    assert bob._theirs.session.version == 1


def test_a_hello_of_a_later_format_is_an_unknown_version_not_garbage() -> None:
    expect_refusal("unknown_version", server(), codec.pack([2, "who", "knows"]))


def hello_with(*, version_min: int, version_max: int) -> bytes:
    packed = ALICE.chain.packed()
    return codec.pack([1, version_min, version_max, CLUSTER, packed, bytes(32), b""])


def test_a_version_range_upside_down_is_malformed() -> None:
    expect_refusal("malformed", server(), hello_with(version_min=3, version_max=1))


def expect_bad_proof(judge: Handshake, proof: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        judge.receive_proof(proof)
    assert refused.value.code == "bad_signature"


def test_an_impostor_without_the_key_is_refused() -> None:
    impostor = Credentials(ALICE.chain, MALLORY.signer, CLUSTER)
    mallory, bob = client(impostor), server()
    bob.receive_hello(mallory.hello)

    expect_bad_proof(bob, mallory.receive_hello(bob.hello))


def test_a_key_that_was_rotated_away_proves_nothing() -> None:
    thief = Credentials(BOB.chain, key(2, 0), CLUSTER)
    mallory, alice = server(thief), client()
    alice.receive_hello(mallory.hello)

    expect_bad_proof(alice, mallory.receive_hello(alice.hello))


def test_a_replayed_handshake_is_refused() -> None:
    alice, bob = client(), server()
    proof = alice.receive_hello(bob.hello)
    bob_later = server(nonce=3)
    bob_later.receive_hello(alice.hello)

    expect_bad_proof(bob_later, proof)


def test_ones_own_proof_sent_back_is_refused() -> None:
    alice, bob = client(), server()
    bob.receive_hello(alice.hello)
    proof = alice.receive_hello(bob.hello)

    expect_bad_proof(alice, proof)


def test_a_proof_for_the_other_role_is_refused() -> None:
    alice, bob, bob_as_client = client(), server(), client(BOB, nonce=2)
    alice.receive_hello(bob.hello)

    expect_bad_proof(alice, bob_as_client.receive_hello(alice.hello))


def test_the_role_is_part_of_what_is_signed() -> None:
    alice, bob = client(), server()
    alice.receive_hello(bob.hello)
    bob.receive_hello(alice.hello)
    assert bob._theirs is not None
    payload = bob._payload(Role.CLIENT, bob._theirs)
    signature = signing.sign(BOB.signer, signing.Domain.HANDSHAKE, CLUSTER, payload)

    expect_bad_proof(alice, codec.pack([1, signature]))


def test_a_hello_changed_on_the_way_makes_the_proof_worthless() -> None:
    alice, bob = client(nonce=0), server()
    changed = hello_with(version_min=0, version_max=1)
    bob.receive_hello(changed)

    expect_bad_proof(bob, alice.receive_hello(bob.hello))


def test_a_refusal_reaches_the_peer_with_its_code() -> None:
    expect_refusal("wrong_cluster", client(), refusal("wrong_cluster"))


def test_a_refusal_with_an_invented_code_is_malformed() -> None:
    expect_refusal("malformed", client(), codec.pack([0, "because"]))


def test_a_short_nonce_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        Handshake(Role.CLIENT, ALICE, nonce=b"short")


@given(data=st.binary(max_size=600))
def test_no_bytes_make_a_handshake_raise_anything_but_the_peers_fault(data: bytes) -> None:
    alice, bob = client(), server()
    with pytest.raises(RemoteProtocolError):
        alice.receive_hello(data)
    alice.receive_hello(bob.hello)
    with pytest.raises(RemoteProtocolError):
        alice.receive_proof(data)


@given(data=st.data())
def test_no_mutation_of_an_honest_handshake_is_believed(data: st.DataObject) -> None:
    alice, bob = client(), server()
    honest = [alice.hello, alice.receive_hello(bob.hello)]
    which = data.draw(st.integers(0, 1))
    place = data.draw(st.integers(0, len(honest[which]) - 1))
    changed = bytearray(honest[which])
    changed[place] ^= data.draw(st.integers(1, 255))
    honest[which] = bytes(changed)

    with pytest.raises(RemoteProtocolError):
        believe(bob, *honest)


def believe(judge: Handshake, hello: bytes, proof: bytes) -> Session:
    judge.receive_hello(hello)
    return judge.receive_proof(proof)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)


@given(fields=st.lists(JUNK, max_size=9), kept=st.integers(0, 7))
def test_no_wellformed_array_of_junk_makes_a_handshake_raise_else(
    fields: list[object], kept: int
) -> None:
    bob = server()
    honest: list[object] = [1, 1, 1, CLUSTER, ALICE.chain.packed(), bytes(32), b""]
    with contextlib.suppress(RemoteProtocolError):
        bob.receive_hello(codec.pack([*honest[:kept], *fields]))
