"""A villain with real sockets: keys of a true member, and every way to misuse them.

The keys are read from the data directory of node b, which runs on and knows nothing of it: so the
member that misbehaves is one that all the others trust. The victim is c, the target a.
"""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from node import keystore
from node.cli.local_cluster import HOST
from protocol import signing
from protocol.bodies import Body, record_of
from protocol.branch import Branch
from protocol.commits import Change, Commit, Dot, Draft, Head, Manifest, make_commit
from protocol.detector.detection import Gossip, SignedAck, SignedVotes, Vote
from protocol.identity import (
    INCEPTION,
    KeyChain,
    NodeId,
    commitment,
    make_event,
    verify_chain,
)
from protocol.wire import exchange
from protocol.wire.handshake import Credentials, Handshake, Role
from protocol.wire.messages import DatagramKind, Push, ack_payload, encode, seal, votes_payload

CLUSTER = signing.cluster_id("kith")
TRUST = signing.Trust(CLUSTER)
OTHER_CLUSTER = signing.cluster_id("other")
TIMEOUT_S = 5.0
LAST_LIFE = 2**32 - 1
"""The highest incarnation that there can be."""
NOBODYS_ROOT = b"\1" * 32


def stranger(cluster: bytes = CLUSTER) -> tuple[signing.KeyPair, KeyChain]:
    """A fresh identity that nobody knows."""
    keys, following = (signing.KeyPair(secrets.token_bytes(32)) for _ in range(2))
    event = make_event(
        INCEPTION, previous=None, key=keys, cluster=cluster,
        next_commitment=commitment(following.public_key),
    )  # fmt: skip
    return keys, verify_chain([event.pack()], signing.Trust(cluster))


Opened = Callable[[socket.SocketKind], socket.socket]
"""Makes a socket of that kind, perhaps in another network than ours."""


def _plain(kind: socket.SocketKind) -> socket.socket:
    return socket.socket(socket.AF_INET, kind)


@dataclass(frozen=True, slots=True)
class Villain:
    """Member b's keys, turned against a, about c."""

    port: int
    """a's gossip port."""
    identity: keystore.Identity
    target: NodeId
    target_key: bytes
    victim: NodeId
    host: str = HOST
    """Of a."""
    opened: Opened = _plain
    """Where its sockets come from."""

    @classmethod
    def with_keys_of(
        cls,
        data_dir: Path,
        port: int,
        target: NodeId,
        victim: NodeId,
        *,
        host: str = HOST,
        opened: Opened = _plain,
    ) -> "Villain":
        """Read the member's keys, and ask the target for its own."""
        identity = keystore.load_or_create(data_dir, CLUSTER, None)
        villain = cls(port, identity, target, b"", victim, host, opened)
        chain = villain.bundle_of(target).key_events
        key = verify_chain(list(chain), signing.Trust(CLUSTER)).key_of(0)
        assert key is not None
        return replace(villain, target_key=key)

    @property
    def me(self) -> NodeId:
        """Who we say we are, and are."""
        return self.identity.node

    # Datagrams

    def datagram(
        self, kind: DatagramKind, body: bytes, *, cluster: bytes = CLUSTER, sender: bytes = b""
    ) -> bytes:
        """Sealed as b would for a."""
        secret = self.identity.keys.agree(self.target_key)
        assert secret is not None
        key = signing.mac_key(secret, cluster)
        return seal(NodeId(sender or self.me), key, kind, body)

    def send(self, *datagrams: bytes) -> None:
        """Over UDP, from a port of our own."""
        with self.opened(socket.SOCK_DGRAM) as udp:
            for datagram in datagrams:
                udp.sendto(datagram, (self.host, self.port))

    # Streams

    def connect(self) -> "Stream":
        """A fresh connection, nothing said yet."""
        tcp = self.opened(socket.SOCK_STREAM)
        tcp.settimeout(TIMEOUT_S)
        tcp.connect((self.host, self.port))
        return Stream(tcp)

    def handshake(self, *, cluster: bytes = CLUSTER) -> Handshake:
        """Our honest side of one."""
        ours = Credentials(self.identity.chain, self.identity.keys, cluster)
        return Handshake(Role.CLIENT, ours, nonce=secrets.token_bytes(32))

    def request(self, frame: bytes) -> bytes:
        """The answer to one request, after an honest handshake; empty if it was refused."""
        with self.connect() as stream:
            handshake = self.handshake()
            stream.send(handshake.hello)
            proof = handshake.receive_hello(stream.receive())
            handshake.receive_proof(stream.receive())
            stream.send(proof, frame)
            return stream.receive()

    def bundle_of(self, owner: NodeId, known: bytes = b"") -> exchange.Bundle:
        """What the target holds of an owner, or of it since a commit."""
        wanted = exchange.FetchRequest(owner, Dot(0, 0), known, b"", 0)
        answer = exchange.decode_answer(self.request(exchange.encode_request(wanted)))
        assert isinstance(answer, exchange.FetchAnswer)
        assert answer.bundle is not None
        return answer.bundle

    def head_of(self, owner: NodeId) -> Head:
        """The newest commit of an owner, without its changes."""
        content = self.bundle_of(owner).content
        if isinstance(content, exchange.Steps):
            return content.commits[-1].head
        assert isinstance(content, Manifest)
        return content.head

    def steps_after(self, owner: NodeId, known: Head) -> tuple[Commit, ...]:
        """The commits of an owner that follow that one."""
        content = self.bundle_of(owner, known.hash).content
        assert isinstance(content, exchange.Steps)
        return content.commits

    def branch_of(self, owner: NodeId) -> Branch:
        """The target's copy of an owner's branch, to build on."""
        bundle = self.bundle_of(owner)
        branch = Branch(verify_chain(list(bundle.key_events), TRUST), TRUST)
        if isinstance(bundle.content, exchange.Steps):
            branch.offer(bundle.content.commits)
        else:
            assert isinstance(bundle.content, Manifest)
            branch.adopt(bundle.content)
        return branch

    # Lies

    def fork(self, *bodies: Body) -> list[Commit]:
        """Commits of our own on one parent, each right by itself: two of them are a fork."""
        branch = self.branch_of(self.me)
        assert branch.head is not None
        drafted = []
        for number, body in enumerate(bodies):
            record = record_of(body)
            change = Change(record.kind, record.key, record.body)
            draft = Draft(
                owner=self.me, dot=Dot(branch.head.epoch, branch.head.version + 1 + number),
                parents=(branch.head.hash,), issued_at=branch.head.issued_at + 1,
                state_root=branch.preview([change]),
            )  # fmt: skip
            drafted.append(make_commit(draft, [change], key=self.identity.keys, cluster=CLUSTER))
        return drafted

    def commit(
        self, owner: NodeId, parent: Commit | None, *changes: Change, cluster: bytes = CLUSTER
    ) -> Commit:
        """A commit that says it is `owner`'s, signed by b, with a state root out of thin air."""
        draft = Draft(
            owner=owner, dot=Dot(0, 2**61), parents=(parent.head.hash,) if parent else (),
            issued_at=1, state_root=NOBODYS_ROOT,
        )  # fmt: skip
        return make_commit(draft, changes, key=self.identity.keys, cluster=cluster)

    def forged_votes(self, incarnation: int) -> Gossip:
        """The victim votes against a, whose incarnation is given: signed by b."""
        vote = Vote(subject=self.target, incarnation=incarnation, counter=1_000)
        payload = votes_payload(self.victim, (vote,), 1)
        signature = signing.sign(self.identity.keys, signing.Domain.VOTES, CLUSTER, payload)
        batch = SignedVotes(
            author=self.victim, epoch=0, votes=(vote,), stamp=1, signature=signature
        )
        return Gossip((), (batch,))

    def forged_ack(self) -> Gossip:
        """The victim says that it lives, in a later life: signed by b."""
        payload = ack_payload(self.victim, LAST_LIFE, 2**40)
        signature = signing.sign(self.identity.keys, signing.Domain.ACK, CLUSTER, payload)
        ack = SignedAck(
            node=self.victim, epoch=0, incarnation=LAST_LIFE, counter=2**40, signature=signature
        )
        return Gossip((ack,), ())

    def push(self, *commits: Commit, inceptions: tuple[bytes, ...] = ()) -> bytes:
        """A push of these commits to the target."""
        return self.datagram(*encode(Push(commits, inceptions)))


class Stream:
    """Frames over a plain TCP socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def raw(self, data: bytes) -> None:
        """Bytes without a frame around them."""
        self._socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, *frames: bytes) -> None:
        """Whole frames."""
        self.raw(b"".join(len(one).to_bytes(4, "big") + one for one in frames))

    def receive(self) -> bytes:
        """One frame; empty if the other end closed."""
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head, "big")) if len(head) == 4 else b""

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            try:
                more = self._socket.recv(count - len(got))
            except ConnectionError:
                return b""
            if not more:
                return b""
            got += more
        return got
