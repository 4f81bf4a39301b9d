"""What hostile bytes do to a real node over real sockets: each is refused by its code, no more."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pytest

from protocol.agreement.evidence import Evidence
from protocol.commits import Change, Commit, Head, Manifest
from protocol.identity import KeyChain, NodeId, parse_id, verify_chain
from protocol.limits import FRAME_MAX
from protocol.signing import Trust
from protocol.wire import exchange
from protocol.wire.exchange import Bundle, SyncRequest
from protocol.wire.handshake import Credentials, Handshake, Role
from protocol.wire.messages import DatagramKind, encode

from .situations import PATIENCE_S, Node, Town, expect_within, say
from .villain import CLUSTER, OTHER_CLUSTER, Villain, stranger

STALE_AFTER = 34
"""Commits after which one that was captured before is no longer among those that a node keeps."""
COUNTED_S = 3.0
PING_BODY = b"\x92\x01\xc2"
SERVICE = Change(1, "web/evil", b"\x91\x01")

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Captured:
    """What the villain took from the wire before."""

    old: Commit
    """An early commit of the victim."""
    newest: Commit
    """Its last."""
    own: Commit
    """b's own last."""
    incarnation: int
    """a's."""


def beliefs(node: Node) -> dict[str, object]:
    """All that must not change."""
    names = node.get("/v1/services")["services"]
    assert isinstance(names, Mapping)
    return {
        "root": node.root(),
        "clock": node.clock(),
        "members": node.statuses(),
        "services": {name: node.healths(name) for name in names},
    }


def refused(node: Node) -> dict[str, float]:
    """Refusals by code."""
    start, end = 'kith_refused_total{code="', '"}'
    return {
        name.removeprefix(start).removesuffix(end): count
        for name, count in node.metrics().items()
        if name.startswith(start)
    }


Deed = Callable[[], None]


def datagrams(v: Villain, seen: Captured) -> list[tuple[str, str, Deed]]:
    """Datagrams that lie about who sent them, or to whom."""
    good = v.datagram(DatagramKind.PING, PING_BODY)
    flipped = good[:-1] + bytes((good[-1] ^ 1,))
    beat = (1).to_bytes(4, "big") + (1).to_bytes(8, "big") + bytes(6)
    nobody = stranger()[1].node
    named = {
        ("empty", "malformed"): b"",
        ("cut within the envelope", "malformed"): good[:33],
        ("cut by one byte", "bad_mac"): good[:-1],
        ("1,300 bytes", "oversized"): good + bytes(1_300 - len(good)),
        ("of another format", "unknown_version"): b"\x09" + good[1:],
        ("of an unknown kind", "malformed"): bytes((1, 99)) + good[2:],
        ("a wrong MAC", "bad_mac"): flipped,
        ("for another cluster", "bad_mac"): v.datagram(
            DatagramKind.PING, PING_BODY, cluster=OTHER_CLUSTER
        ),
        ("in the name of c", "bad_mac"): v.datagram(DatagramKind.PING, PING_BODY, sender=v.victim),
        ("in a's own name", "foreign"): v.datagram(DatagramKind.PING, PING_BODY, sender=v.target),
        ("of a stranger", "unknown_sender"): v.datagram(
            DatagramKind.PING, PING_BODY, sender=nobody
        ),
        ("a body that is not canonical", "malformed"): v.datagram(
            DatagramKind.PING, b"\x92\xcd\x00\x01\xc2"
        ),
        ("votes of c that b signed", "bad_signature"): v.datagram(
            *encode(v.forged_votes(seen.incarnation))
        ),
        ("an ack of c that b signed", "bad_signature"): v.datagram(*encode(v.forged_ack())),
    }
    cases: list[tuple[str, str, Deed]] = [
        (f"datagram: {what}", code, partial(v.send, datagram))
        for (what, code), datagram in named.items()
    ]
    again = v.datagram(DatagramKind.HEARTBEAT, beat)
    cases.append(("datagram: a heartbeat, twice", "replayed", partial(v.send, again, again)))
    push = v.push(seen.newest)
    cases.append(("datagram: a captured push, twice", "duplicate", partial(v.send, push, push)))
    return cases


def pushes(v: Villain, seen: Captured) -> list[tuple[str, str, Deed]]:
    """Well-sealed pushes whose commits lie."""
    forged = v.commit(v.victim, seen.newest, SERVICE)
    tampered = Commit(v.commit(v.me, seen.own).head, seen.newest.changes_encoded)
    later = replace(forged.head, signature=seen.newest.head.signature)
    alien = stranger(OTHER_CLUSTER)[1]
    unknown = stranger()[1]
    evidence = Evidence(forged.head, v.commit(v.victim, seen.newest).head)
    named = {
        ("a commit of c that b signed", "bad_signature"): v.push(forged),
        ("a commit with a signature from another", "bad_signature"): v.push(
            Commit(later, forged.changes_encoded)
        ),
        ("b's own commit for another cluster", "bad_signature"): v.push(
            v.commit(v.me, seen.own, cluster=OTHER_CLUSTER)
        ),
        ("b's own commit with a false state root", "root_mismatch"): v.push(
            v.commit(v.me, seen.own, SERVICE)
        ),
        ("what is no commit", "malformed"): v.datagram(
            DatagramKind.PUSH, b"\x92\x91\xc4\x01\x00\x90"
        ),
        ("c's commit of before", "stale"): v.push(seen.old, seen.newest),
        ("c's newest commit again", "duplicate"): v.push(seen.newest),
        ("b's own commit with other changes", "bad_signature"): v.push(tampered),
        ("an owner whose id is of another cluster", "bad_signature"): v.push(
            v.commit(alien.node, None), inceptions=tuple(alien.packed())
        ),
        ("an unknown owner's commit that b signed", "bad_signature"): v.push(
            v.commit(unknown.node, None), inceptions=tuple(unknown.packed())
        ),
        ("evidence against c that b signed", "bad_signature"): v.datagram(*encode(evidence)),
    }
    return [
        (f"push: {what}", code, partial(v.send, datagram))
        for (what, code), datagram in named.items()
    ]


def handshakes(v: Villain) -> list[tuple[str, str, Deed]]:
    """Streams that end before anything was asked."""

    def opening(*frames: bytes, raw: bytes = b"", end: bool = False) -> None:
        with v.connect() as stream:
            stream.send(*frames) if frames else stream.raw(raw)
            if end:
                stream.finish()
            while stream.receive():
                pass

    def hello(
        *, cluster: bytes = b"", expected: NodeId | None = None, chain_of: NodeId | None = None
    ) -> bytes:
        keys, chain = stranger(cluster) if cluster else (v.identity.keys, v.identity.chain)
        if chain_of is not None:
            chain = _chain(v, chain_of)
        ours = Credentials(chain, keys, cluster or CLUSTER)
        return Handshake(Role.CLIENT, ours, nonce=bytes(32), expected=expected).hello

    def false_proof() -> None:
        handshake = v.handshake()
        with v.connect() as stream:
            stream.send(handshake.hello)
            proof = handshake.receive_hello(stream.receive())
            stream.receive()
            stream.send(proof[:-1] + bytes((proof[-1] ^ 1,)))
            assert stream.receive() == b""

    newer = b"\x97\x01\x63\x63" + hello()[4:]
    return [
        ("stream: garbage", "malformed", partial(opening, b"GET / HTTP/1.1")),
        ("stream: a hello of 400 KB", "oversized",
         partial(opening, raw=(400_000).to_bytes(4, "big") + bytes(64))),
        ("stream: cut within a frame", "malformed",
         partial(opening, raw=(200).to_bytes(4, "big") + bytes(64), end=True)),
        ("stream: of another cluster", "wrong_cluster",
         lambda: opening(hello(cluster=OTHER_CLUSTER))),
        ("stream: for another node", "foreign", lambda: opening(hello(expected=v.victim))),
        ("stream: under a's own id", "replayed", lambda: opening(hello(chain_of=v.target))),
        ("stream: of version 99", "unknown_version", lambda: opening(newer)),
        ("stream: a false proof", "bad_signature", false_proof),
        ("stream: c's identity, b's key", "bad_signature",
         lambda: impersonate(v, v.victim)),
    ]  # fmt: skip


def impersonate(v: Villain, whom: NodeId) -> None:
    """Show somebody else's key events, and sign the proof with ours."""
    ours = Credentials(_chain(v, whom), v.identity.keys, CLUSTER)
    handshake = Handshake(Role.CLIENT, ours, nonce=bytes(31) + b"\1")
    with v.connect() as stream:
        stream.send(handshake.hello)
        proof = handshake.receive_hello(stream.receive())
        stream.receive()
        stream.send(proof)
        assert stream.receive() == b""


def requests(v: Villain, seen: Captured) -> list[tuple[str, str, Deed]]:
    """Frames of a proven member that are no requests, or bring lies."""
    forged = v.commit(v.victim, seen.newest, SERVICE)
    events = v.identity.chain.packed()
    victims = v.bundle_of(v.victim).key_events
    lone = stranger()[1]

    def sync(content: Head | Manifest | None, key_events: tuple[bytes, ...]) -> Deed:
        body = exchange.encode_request(SyncRequest((), Bundle(key_events, content)))
        return lambda: _ignore(v.request(body))

    def ask(frame: bytes) -> Deed:
        return lambda: _closed(v.request(frame))

    def oversized() -> None:
        with v.connect() as stream:
            handshake = v.handshake()
            stream.send(handshake.hello)
            proof = handshake.receive_hello(stream.receive())
            stream.receive()
            stream.send(proof)
            stream.raw((FRAME_MAX + 1).to_bytes(4, "big"))
            assert stream.receive() == b""

    return [
        ("request: garbage", "malformed", ask(b"\x00" * 40)),
        ("request: an unknown kind", "malformed", ask(b"\x91\x63")),
        ("request: more than 1 MiB", "oversized", oversized),
        ("request: a state of c that b signed", "bad_signature",
         sync(Manifest(forged.head, ()), tuple(victims))),
        ("request: b's own state, not what it signed", "root_mismatch",
         sync(Manifest(v.commit(v.me, seen.own).head, ()), tuple(events))),
        ("request: a state under another's key events", "foreign",
         sync(Manifest(forged.head, ()), tuple(events))),
        ("request: key events of another cluster", "bad_signature",
         sync(None, tuple(stranger(OTHER_CLUSTER)[1].packed()))),
        ("request: a state without key events", "unknown_sender",
         sync(Manifest(v.commit(lone.node, None).head, ()), ())),
    ]  # fmt: skip


def _ignore(answer: bytes) -> None:
    assert answer, "an honest question beside the lie is answered"


def _closed(answer: bytes) -> None:
    assert answer == b""


def _chain(v: Villain, owner: NodeId) -> KeyChain:
    return verify_chain(list(v.bundle_of(owner).key_events), Trust(CLUSTER))


def captured(town: Town, villain: Villain) -> Captured:
    """Take a commit of the victim, and let enough happen for it to be forgotten."""
    a, b, c = town.nodes

    def next_of(node: Node, owner: NodeId, version: str) -> Commit:
        before = villain.head_of(owner)
        node.register("web", 8000, version=version)
        town.settle()
        return villain.steps_after(owner, before)[-1]

    old = next_of(c, villain.victim, "old")
    for port in range(STALE_AFTER):
        c.register("web", 8000, version=str(port))
    town.settle()
    newest = next_of(c, villain.victim, "new")
    return Captured(old, newest, next_of(b, villain.me, "own"), a.incarnation())


def counted_by(node: Node, code: str, do: Deed) -> dict[str, int]:
    """The refusals that it counted for what was done, by code."""
    had = refused(node)
    do()
    with contextlib.suppress(AssertionError):
        expect_within(COUNTED_S, lambda: refused(node)[code] > had[code])
    return {one: int(count - had[one]) for one, count in refused(node).items() if count > had[one]}


def test_every_hostile_datagram_and_stream_is_refused_counted_and_changes_nothing(
    town: Town,
) -> None:
    a, b, c = town.nodes
    port = int(town.cluster.gossip_address(0).rpartition(":")[2])
    villain = Villain.with_keys_of(town.data_dir(1), port, parse_id(a.id()), parse_id(c.id()))
    assert villain.me == parse_id(b.id())
    seen, logs = captured(town, villain), town.log_sizes()
    cases = [
        *datagrams(villain, seen), *pushes(villain, seen), *handshakes(villain),
        *requests(villain, seen),
    ]  # fmt: skip
    expect_within(PATIENCE_S, town.agrees)
    before = [beliefs(node) for node in town.nodes]

    wrong: list[str] = []
    say(f"{'what was sent to a':52} {'refused as':16} counted")
    for what, code, do in cases:
        counted = counted_by(a, code, do)
        say(f"{what:52} {code:16} {counted}")
        wrong += [what] * (code not in counted)
        assert [beliefs(node) for node in town.nodes] == before, what

    assert wrong == []
    villain.send(villain.datagram(DatagramKind.PING, PING_BODY))
    assert villain.bundle_of(villain.victim).key_events, "an honest question is still answered"
    assert town.forks(logs) == []
    assert not any("Traceback" in node.log.read_text() for node in town.nodes)
    a.register("web", 1)
    town.settle()
    say(f"{len(cases)} kinds of hostile input; root, clock, members and services unchanged")
