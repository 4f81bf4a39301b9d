"""Nodes that do not keep to the protocol: each runs the real machine, and does more, or less.

What a villain may do is bounded by the keys it holds: it signs with its own and nobody else's, and
authenticates datagrams as itself. It may say anything, to anybody, as often as it likes; it may
hide what it knows, and show different nodes different things.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import assert_never

from protocol import limits, signing
from protocol.bodies import decode, key_of, record_of
from protocol.commits import Change, Dot, Draft, Record, make_commit
from protocol.detector.detection import VOTES_PER_BATCH_MAX, Gossip, SignedVotes, Vote
from protocol.effects import Effect, Send
from protocol.errors import RemoteProtocolError
from protocol.records import ServiceRecord
from protocol.wire import exchange
from protocol.wire.exchange import FetchAnswer, SyncAnswer
from protocol.wire.messages import (
    OVERHEAD,
    DatagramKind,
    Message,
    Push,
    encode,
    inspect,
    seal,
    unseal,
    votes_payload,
)
from protocol.wire.trees import Children, NodeShown, NodesShown, TreeAnswer

from .node import SimNode
from .plan import Role
from .world import World

_PASSED_ON = (
    DatagramKind.PUSH, DatagramKind.ADVERT, DatagramKind.WANT, DatagramKind.GOSSIP,
    DatagramKind.EVIDENCE,
)  # fmt: skip
KEPT_MAX = 500
"""Datagrams that a replayer remembers."""
FLOOD_DATAGRAMS = 20
"""Per turn of a tenth of a second."""
FLOOD_COMMIT_EVERY = 5
"""Every so many turns it commits one more record of its own, which all must pass on."""
FLOOD_RECORDS_MAX = 1_000
SLANDER_TO = 6
"""To whom a slanderer tells each batch."""
COUNTERS_AHEAD = 1_000
_EVERY_S = {
    Role.FORKER: 4.0, Role.WITHHOLDER: 10.0, Role.TREE_LIAR: 10.0, Role.SLANDERER: 1.0,
    Role.REPLAYER: 0.1, Role.FLOODER: 0.1, Role.FORGER: 0.5,
}  # fmt: skip


class Villain:
    """One byzantine node. Make it before the node starts; `begin` lets it act."""

    def __init__(self, world: World, node: SimNode, role: Role, rng: Random) -> None:
        self.role = role
        self._world = world
        self._node = node
        self._rng = rng
        self._kept: list[tuple[int, bytes]] = []
        self._count = 0
        self._keys: dict[int, bytes] = {}
        self._act: Callable[[], None] = {
            Role.FORKER: self._fork,
            Role.WITHHOLDER: self._idle,
            Role.TREE_LIAR: self._idle,
            Role.SLANDERER: self._slander,
            Role.REPLAYER: self._replay,
            Role.FLOODER: self._flood,
            Role.FORGER: self._forge,
        }[role]
        match role:
            case Role.FORKER:
                node.faces_wanted = 2
                node.hears = _deaf_to_evidence
            case Role.WITHHOLDER:
                node.filter = _withhold
                node.answers = self._answer_less
            case Role.TREE_LIAR:
                node.answers = self._answer_wrongly
            case Role.REPLAYER:
                node.hears = self._keep
            case Role.SLANDERER | Role.FLOODER | Role.FORGER:
                pass
            case _:
                assert_never(role)

    def begin(self) -> None:
        """Act now and then, for ever."""
        self._world.timeline.after(self._wait_s(), self._turn)

    def _wait_s(self) -> float:
        return _EVERY_S[self.role] * self._rng.uniform(0.5, 1.5)

    def _turn(self) -> None:
        if self._node.up and not self._node.paused and self._node.peer.ready:
            self._act()
        self._world.timeline.after(self._wait_s(), self._turn)

    def _idle(self) -> None:
        """What it does is answer."""

    def _fork(self) -> None:
        self._count += 1
        for face in range(len(self._node.faces)):
            body = self._service(f"fork-{self._count}", port=1000 + face)
            self._node.act(face, {key_of(body): body})

    def _slander(self) -> None:
        membership = self._node.peer.membership
        subjects = membership.subjects()[:VOTES_PER_BATCH_MAX]
        counter = COUNTERS_AHEAD + int(self._world.timeline.now * 10)
        votes = []
        for subject in subjects:
            view = membership.view(subject)
            if view is not None:
                votes.append(Vote(subject, view.incarnation, counter))
        if not votes:
            return
        self._count += 1
        batch = self._signed(tuple(votes), self._count)
        for receiver in self._others(SLANDER_TO):
            self._tell(receiver, Gossip((), (batch,)))

    def _replay(self) -> None:
        if not self._kept:
            return
        sender, datagram = self._rng.choice(self._kept)
        (receiver,) = self._others(1)
        if self._rng.random() < 0.5:
            self._world.network.send(self._node.number, receiver, datagram)
            return
        try:
            kind, _ = inspect(datagram)
            body = unseal(datagram, self._key(sender))
        except RemoteProtocolError:  # what another villain sent
            return
        again = seal(self._node.id, self._key(receiver), kind, body)
        self._world.network.send(self._node.number, receiver, again)

    def _flood(self) -> None:
        rng, send = self._rng, self._world.network.send
        for receiver in self._others(FLOOD_DATAGRAMS):
            kind = rng.choice(list(DatagramKind))
            body = rng.randbytes(rng.randrange(limits.DATAGRAM_MAX - OVERHEAD))
            if rng.random() < 0.3:
                send(self._node.number, receiver, rng.randbytes(rng.randrange(limits.DATAGRAM_MAX)))
            else:
                sealed = seal(self._node.id, self._key(receiver), kind, body)
                send(self._node.number, receiver, sealed)
        self._count += 1
        if self._count % FLOOD_COMMIT_EVERY == 0:
            record = self._service(f"flood-{self._count % FLOOD_RECORDS_MAX}", port=2000)
            self._node.act(0, {key_of(record): record})

    def _forge(self) -> None:
        victim = self._world.nodes[self._others(1)[0]]
        branch = self._node.peer.registry.branch(victim.id)
        if branch is None or branch.head is None:
            return
        self._count += 1
        record = record_of(self._service(f"forged-{self._count}", port=3000))
        change = Change(record.kind, record.key, record.body)
        head = branch.head
        draft = Draft(
            owner=victim.id,
            dot=Dot(head.epoch, head.version + self._count),
            parents=(head.hash,),
            issued_at=head.issued_at + 1,
            state_root=branch.preview([change]),
        )
        commit = make_commit(
            draft, [change], key=self._node.keys.signer, cluster=self._world.cluster
        )
        for receiver in self._others(3):
            self._tell(receiver, Push((commit,), ()))

    # Its tools

    def _service(self, name: str, *, port: int) -> ServiceRecord:
        host = self._node.address.host
        return ServiceRecord(name=name, id=name, address=host, port=port, version="villain")

    def _others(self, count: int) -> list[int]:
        others = [node.number for node in self._world.nodes if node is not self._node]
        return self._rng.sample(others, min(count, len(others)))

    def _key(self, other: int) -> bytes:
        if other not in self._keys:
            secret = self._node.keys.signer.agree(self._world.nodes[other].keys.signer.public_key)
            assert secret is not None
            self._keys[other] = signing.mac_key(secret, self._world.cluster)
        return self._keys[other]

    def _tell(self, receiver: int, message: Message) -> None:
        kind, body = encode(message)
        datagram = seal(self._node.id, self._key(receiver), kind, body)
        self._world.network.send(self._node.number, receiver, datagram)

    def _signed(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        payload = votes_payload(self._node.id, votes, stamp)
        cluster = self._world.cluster
        signature = signing.sign(self._node.keys.signer, signing.Domain.VOTES, cluster, payload)
        return SignedVotes(self._node.id, 0, votes, stamp, signature)

    def _keep(self, sender: int, datagram: bytes) -> bool:
        if len(self._kept) < KEPT_MAX:
            self._kept.append((sender, datagram))
        else:
            self._kept[self._rng.randrange(KEPT_MAX)] = (sender, datagram)
        return True

    def _answer_less(self, answer: bytes | None) -> bytes | None:
        if answer is None:
            return None
        said = exchange.decode_answer(answer)
        if isinstance(said, SyncAnswer):
            half = tuple(b for b in said.bundles if self._rng.random() < 0.5)
            return exchange.encode_answer(SyncAnswer(half, more=False, gossip=Gossip()))
        if isinstance(said, FetchAnswer):
            return exchange.encode_answer(FetchAnswer(None))
        if isinstance(said, TreeAnswer):
            fewer = [
                NodesShown(t.at, t.nodes if self._rng.random() < 0.5 else ()) for t in said.trees
            ]
            return exchange.encode_answer(TreeAnswer(tuple(fewer)))
        return answer

    def _answer_wrongly(self, answer: bytes | None) -> bytes | None:
        said = exchange.decode_answer(answer) if answer is not None else None
        if not isinstance(said, TreeAnswer):
            return answer
        trees = tuple(
            NodesShown(tree.at, tuple(self._made_up(node) for node in tree.nodes))
            for tree in said.trees
        )
        return exchange.encode_answer(TreeAnswer(trees))

    def _made_up(self, node: NodeShown) -> NodeShown:
        if isinstance(node, Children) and self._rng.random() < 0.2:
            return Children(node.shown[:-1] + bytes([node.shown[-1] ^ 1]))
        body = decode(node) if isinstance(node, Record) else None
        return record_of(replace(body, port=4000)) if isinstance(body, ServiceRecord) else node


def _withhold(_face: int, effect: Effect) -> list[Effect]:
    if isinstance(effect, Send) and DatagramKind(effect.datagram[1]) in _PASSED_ON:
        return []
    return [effect]


def _deaf_to_evidence(_sender: int, datagram: bytes) -> bool:
    return len(datagram) < 2 or datagram[1] != DatagramKind.EVIDENCE
