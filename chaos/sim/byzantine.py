"""Nodes that do not keep to the protocol: each runs the real machine, and does more, or less.

What a villain may do is bounded by the keys it holds: it signs with its own and nobody else's, and
authenticates datagrams as itself. It may say anything, to anybody, as often as it likes; it may
hide what it knows, and show different nodes different things.

A thief holds one key more: that of an honest node, as it was shortly before that node rotates. It
has its victim's branch from the cluster like everybody, and signs in the victim's name on and on.
It does not push the victim's counters or versions far ahead.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import assert_never

from protocol import limits, signing
from protocol.bodies import decode, key_of, record_of
from protocol.branch import Branch
from protocol.commits import Change, Commit, Dot, Draft, Record, RecordKey, make_commit
from protocol.detector.detection import (
    VOTES_PER_BATCH_MAX,
    Gossip,
    Heartbeat,
    SignedAck,
    SignedVotes,
    Vote,
)
from protocol.effects import Effect, Request, Send
from protocol.errors import RemoteProtocolError
from protocol.identity import NodeId
from protocol.records import ServiceRecord
from protocol.signing import Domain, Signer
from protocol.wire import exchange, messages
from protocol.wire.exchange import FetchAnswer, SyncAnswer
from protocol.wire.messages import (
    OVERHEAD,
    Beat,
    DatagramKind,
    Message,
    Push,
    ack_payload,
    encode,
    inspect,
    seal,
    unseal,
    votes_payload,
)
from protocol.wire.trees import Children, NodeShown, NodesShown, TreeAnswer

from .node import SimNode
from .plan import Fault, FaultKind, Role
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
AHEAD_MAX = 3
"""How much newer than its victim's own a thief's heartbeats and acks are."""
_BEAT_ROOT_BYTES = 6
_EVERY_S = {
    Role.FORKER: 4.0, Role.WITHHOLDER: 10.0, Role.TREE_LIAR: 10.0, Role.SLANDERER: 1.0,
    Role.REPLAYER: 0.1, Role.FLOODER: 0.1, Role.FORGER: 0.5, Role.THIEF: 0.3,
}  # fmt: skip
STOLEN_BEFORE_S = 2.0
"""How long before its owner is to rotate a thief begins to use a key."""
THEFTS_TO = 3
"""To how many a thief shows each thing."""


class Villain:
    """One byzantine node. Make it before the node starts; `begin` lets it act."""

    def __init__(self, world: World, node: SimNode, role: Role, rng: Random) -> None:
        self.role = role
        self.world = world
        self.node = node
        self.rng = rng
        self._kept: list[tuple[int, bytes]] = []
        self._count = 0
        self._keys: dict[bytes, bytes] = {}
        """What we agreed with each public key."""
        self._theft = _Theft(self)
        self._act: Callable[[], None] = {
            Role.FORKER: self._fork,
            Role.WITHHOLDER: self._idle,
            Role.TREE_LIAR: self._idle,
            Role.SLANDERER: self._slander,
            Role.REPLAYER: self._replay,
            Role.FLOODER: self._flood,
            Role.FORGER: self._forge,
            Role.THIEF: self._theft.act,
        }[role]
        match role:
            case Role.FORKER:
                node.faces_wanted = 2
                node.hears = _deaf_to_evidence
                node.filter = _deliver_nothing
            case Role.WITHHOLDER:
                node.filter = _withhold
                node.answers = self._answer_less
            case Role.TREE_LIAR:
                node.answers = self._answer_wrongly
            case Role.REPLAYER:
                node.hears = self._keep
            case Role.THIEF:
                node.hears = self._theft.hears
            case Role.SLANDERER | Role.FLOODER | Role.FORGER:
                pass
            case _:
                assert_never(role)

    def begin(self) -> None:
        """Act now and then, for ever."""
        self.world.timeline.after(self._wait_s(), self._turn)

    def _wait_s(self) -> float:
        return _EVERY_S[self.role] * self.rng.uniform(0.5, 1.5)

    def _turn(self) -> None:
        if self.node.up and not self.node.paused and self.node.peer.ready:
            self._act()
        self.world.timeline.after(self._wait_s(), self._turn)

    def _idle(self) -> None:
        """What it does is answer."""

    def _fork(self) -> None:
        self._count += 1
        for face in range(len(self.node.faces)):
            body = self.service(f"fork-{self._count}", port=1000 + face)
            self.node.act(face, {key_of(body): body})

    def _slander(self) -> None:
        membership = self.node.peer.membership
        subjects = membership.subjects()[:VOTES_PER_BATCH_MAX]
        counter = COUNTERS_AHEAD + int(self.world.timeline.now * 10)
        votes = []
        for subject in subjects:
            view = membership.view(subject)
            if view is not None:
                votes.append(Vote(subject, view.incarnation, counter))
        if not votes:
            return
        self._count += 1
        batch = self._signed(tuple(votes), self._count)
        for receiver in self.others(SLANDER_TO):
            self.tell(receiver, Gossip((), (batch,)))

    def _replay(self) -> None:
        if not self._kept:
            return
        sender, datagram = self.rng.choice(self._kept)
        (receiver,) = self.others(1)
        if self.rng.random() < 0.5:
            self.world.network.send(self.node.number, receiver, datagram)
            return
        try:
            kind, _ = inspect(datagram)
            body = unseal(datagram, self._key(sender))
        except RemoteProtocolError:  # what another villain sent
            return
        again = seal(self.node.id, self._key(receiver), kind, body)
        self.world.network.send(self.node.number, receiver, again)

    def _flood(self) -> None:
        rng, send = self.rng, self.world.network.send
        for receiver in self.others(FLOOD_DATAGRAMS):
            kind = rng.choice(list(DatagramKind))
            body = rng.randbytes(rng.randrange(limits.DATAGRAM_MAX - OVERHEAD))
            if rng.random() < 0.3:
                send(self.node.number, receiver, rng.randbytes(rng.randrange(limits.DATAGRAM_MAX)))
            else:
                sealed = seal(self.node.id, self._key(receiver), kind, body)
                send(self.node.number, receiver, sealed)
        self._count += 1
        if self._count % FLOOD_COMMIT_EVERY == 0:
            record = self.service(f"flood-{self._count % FLOOD_RECORDS_MAX}", port=2000)
            self.node.act(0, {key_of(record): record})

    def _forge(self) -> None:
        victim = self.world.nodes[self.others(1)[0]]
        branch = self.node.peer.registry.branch(victim.id)
        if branch is None or branch.head is None:
            return
        self._count += 1
        record = record_of(self.service(f"forged-{self._count}", port=3000))
        change = Change(record.kind, record.key, record.body)
        dot = Dot(branch.head.epoch, branch.head.version + self._count)
        commit = self.commit_after(branch, change, dot, self.node.keys.signer)
        for receiver in self.others(3):
            self.tell(receiver, Push((commit,), ()))

    # Its tools

    def service(self, name: str, *, port: int) -> ServiceRecord:
        """An instance at the villain's address."""
        host = self.node.address.host
        return ServiceRecord(name=name, id=name, address=host, port=port, version="villain")

    def others(self, count: int) -> list[int]:
        """Some of all the others."""
        others = [node.number for node in self.world.nodes if node is not self.node]
        return self.rng.sample(others, min(count, len(others)))

    def _key(self, other: int) -> bytes:
        theirs = self.world.nodes[other].keys.signer.public_key
        if theirs not in self._keys:
            secret = self.node.keys.signer.agree(theirs)
            assert secret is not None
            self._keys[theirs] = signing.mac_key(secret, self.world.cluster)
        return self._keys[theirs]

    def tell(self, receiver: int, message: Message) -> None:
        """Send somebody something, as who we are."""
        kind, body = encode(message)
        datagram = seal(self.node.id, self._key(receiver), kind, body)
        self.world.network.send(self.node.number, receiver, datagram)

    def commit_after(self, branch: Branch, change: Change, dot: Dot, signer: Signer) -> Commit:
        """A commit in the name of a branch's owner, on what we hold of it."""
        head = branch.head
        assert head is not None
        draft = Draft(
            owner=branch.owner,
            dot=dot,
            parents=(head.hash,),
            issued_at=head.issued_at + 1,
            state_root=branch.preview([change]),
        )
        return make_commit(draft, [change], key=signer, cluster=self.world.cluster)

    def _signed(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        payload = votes_payload(self.node.id, votes, stamp)
        cluster = self.world.cluster
        signature = signing.sign(self.node.keys.signer, signing.Domain.VOTES, cluster, payload)
        return SignedVotes(self.node.id, 0, votes, stamp, signature)

    def _keep(self, sender: int, datagram: bytes) -> bool:
        if len(self._kept) < KEPT_MAX:
            self._kept.append((sender, datagram))
        else:
            self._kept[self.rng.randrange(KEPT_MAX)] = (sender, datagram)
        return True

    def _answer_less(self, answer: bytes | None) -> bytes | None:
        if answer is None:
            return None
        said = exchange.decode_answer(answer)
        if isinstance(said, SyncAnswer):
            half = tuple(b for b in said.bundles if self.rng.random() < 0.5)
            return exchange.encode_answer(SyncAnswer(half, more=False, gossip=Gossip()))
        if isinstance(said, FetchAnswer):
            return exchange.encode_answer(FetchAnswer(None))
        if isinstance(said, TreeAnswer):
            fewer = [
                NodesShown(t.at, t.nodes if self.rng.random() < 0.5 else ()) for t in said.trees
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
        if isinstance(node, Children) and self.rng.random() < 0.2:
            return Children(node.shown[:-1] + bytes([node.shown[-1] ^ 1]))
        body = decode(node) if isinstance(node, Record) else None
        return record_of(replace(body, port=4000)) if isinstance(body, ServiceRecord) else node


def _withhold(_face: int, effect: Effect) -> list[Effect]:
    if isinstance(effect, Send) and DatagramKind(effect.datagram[1]) in _PASSED_ON:
        return []
    return [effect]


def _deliver_nothing(_face: int, effect: Effect) -> list[Effect]:
    """Whoever holds the other side would answer a delivery with it, and the machine confess."""
    if isinstance(effect, Request) and isinstance(
        exchange.decode_request(effect.body), exchange.DeliverRequest
    ):
        return []
    return [effect]


def _deaf_to_evidence(_sender: int, datagram: bytes) -> bool:
    return len(datagram) < 2 or datagram[1] != DatagramKind.EVIDENCE


class _Theft:
    """What a thief does with the key of one victim: that of the first node of the first rotation.

    It begins `STOLEN_BEFORE_S` before the rotation. If that never comes, it ends when the time for
    it has passed: whose key is stolen and never replaced has no promise to hold up.
    """

    def __init__(self, villain: Villain) -> None:
        self._villain = villain
        self._began_s: float | None = None
        self._key: tuple[int, Signer] | None = None
        """Epoch and key, once it is stolen."""
        self._pulse: Heartbeat | None = None
        """The newest that the victim sent us."""

    def hears(self, sender: int, datagram: bytes) -> bool:
        """Take note of the victim's heartbeats; listen to everything."""
        rotation = _first_rotation(self._villain)
        if rotation is not None and sender == rotation.nodes[0] and len(datagram) > OVERHEAD:
            kind, _ = inspect(datagram)
            if kind is DatagramKind.HEARTBEAT:
                body = datagram[OVERHEAD - signing.MAC_BYTES : -signing.MAC_BYTES]
                message = messages.decode(kind, body)
                self._pulse = message.heartbeat if isinstance(message, Beat) else self._pulse
        return True

    def act(self) -> None:
        """Speak in the victim's name."""
        villain = self._villain
        rotation = _first_rotation(villain)
        now = villain.world.timeline.now
        self._began_s = now if self._began_s is None else self._began_s
        if rotation is None or now - self._began_s < rotation.at_s - STOLEN_BEFORE_S:
            return
        victim = villain.world.nodes[rotation.nodes[0]]
        if self._key is None:
            epoch = victim.keys.chain.epoch
            self._key = epoch, villain.world.stolen(victim.number, epoch)
            villain.world.recorder.stole(victim.id, epoch)
        epoch, signer = self._key
        is_late = now - self._began_s > rotation.until_s
        branch = villain.node.peer.registry.branch(victim.id)
        if branch is None or branch.head is None or (is_late and victim.keys.chain.epoch == epoch):
            return
        match villain.rng.randrange(4):
            case 0:
                self._commit(branch, epoch, signer)
            case 1:
                self._vote(victim, epoch, signer)
            case 2:
                self._ack(victim, epoch, signer)
            case _:
                self._beat(victim, epoch, signer)

    def _commit(self, branch: Branch, epoch: int, signer: Signer) -> None:
        villain, head = self._villain, branch.head
        assert head is not None
        record = record_of(villain.service(f"stolen-{villain.rng.randrange(100)}", port=4000))
        change = Change(record.kind, record.key, record.body)
        commit = villain.commit_after(branch, change, Dot(epoch, head.version + 1), signer)
        after = {**branch.records, RecordKey(record.kind, record.key): record}
        villain.world.recorder.signed_by_thief(commit.head, after.values())
        self._tell(branch.owner, epoch, signer, Push((commit,), ()))

    def _vote(self, victim: SimNode, epoch: int, signer: Signer) -> None:
        villain = self._villain
        membership = villain.node.peer.membership
        subjects = [one for one in membership.subjects() if one != victim.id]
        votes = tuple(
            Vote(subject, view.incarnation, self._counter())
            for subject in subjects[:VOTES_PER_BATCH_MAX]
            if (view := membership.view(subject)) is not None
        )
        stamp = villain.rng.randrange(2**60)
        payload = votes_payload(victim.id, votes, stamp)
        signature = signing.sign(signer, Domain.VOTES, villain.world.cluster, payload)
        villain.world.recorder.made(victim.id, epoch, signature)
        said = SignedVotes(victim.id, epoch, votes, stamp, signature)
        self._tell(victim.id, epoch, signer, Gossip((), (said,)))

    def _ack(self, victim: SimNode, epoch: int, signer: Signer) -> None:
        world = self._villain.world
        pulse = self._next_pulse()
        if pulse is None:
            return
        payload = ack_payload(victim.id, pulse.incarnation, pulse.counter)
        signature = signing.sign(signer, Domain.ACK, world.cluster, payload)
        world.recorder.made(victim.id, epoch, signature)
        ack = SignedAck(victim.id, epoch, pulse.incarnation, pulse.counter, signature)
        self._tell(victim.id, epoch, signer, Gossip((ack,), ()))

    def _beat(self, victim: SimNode, epoch: int, signer: Signer) -> None:
        pulse, root = self._next_pulse(), self._villain.node.peer.registry.root
        if pulse is not None:
            beat = Beat(pulse, root[:_BEAT_ROOT_BYTES])
            self._tell(victim.id, epoch, signer, beat, as_victim=True)

    def _counter(self) -> int:
        return COUNTERS_AHEAD + int(self._villain.world.timeline.now * 10)

    def _next_pulse(self) -> Heartbeat | None:
        """A little ahead of what the victim says of itself, so that it is news."""
        if self._pulse is None:
            return None
        ahead = self._villain.rng.randint(1, AHEAD_MAX)
        return Heartbeat(self._pulse.incarnation, self._pulse.counter + ahead)

    def _tell(
        self,
        victim: NodeId,
        epoch: int,
        signer: Signer,
        message: Message,
        *,
        as_victim: bool | None = None,
    ) -> None:
        """Show it to some, as ourselves or as the victim."""
        villain, world = self._villain, self._villain.world
        if as_victim is None:
            as_victim = villain.rng.random() < 0.5
        for receiver in villain.others(THEFTS_TO):
            other = world.nodes[receiver]
            if not as_victim:
                villain.tell(receiver, message)
            elif other.id != victim:
                secret = signer.agree(other.keys.signer.public_key)
                assert secret is not None
                kind, body = encode(message)
                datagram = seal(victim, signing.mac_key(secret, world.cluster), kind, body)
                world.recorder.made(victim, epoch, datagram)
                world.network.send(villain.node.number, receiver, datagram)


def _first_rotation(villain: Villain) -> Fault | None:
    plan, number = villain.world.plan, villain.node.number
    rotations = (one for one in plan.faults if one.kind is FaultKind.ROTATE)
    return next((one for one in rotations if one.nodes[0] != number), None)
