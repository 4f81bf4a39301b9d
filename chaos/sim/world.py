"""The simulated world: nodes, links and one clock, driven by one seed.

    seed ─▶ plan ─▶ World ─▶ history ─▶ checkers

Rules this module keeps:

1. Everything that happens is an event on one timeline; the same plan is the same run, event for
   event, on any machine and under any hash seed.
2. The protocol machines are the ones that real nodes run. What is simulated is around them: links,
   streams, disks, clocks, processes and clients.
"""

from dataclasses import dataclass
from random import Random

from chaos.history import Belief, History, View
from protocol import signing
from protocol.detector.config import MembershipConfig
from protocol.effects import Request
from protocol.identity import Address, KeyChain, NodeId, short_id
from protocol.records import NodeRecord
from protocol.restored import RestoredBranch
from protocol.shared.joined import Joined
from protocol.signing import Signer, Trust, Verifier

from .clock import WALL_START_US
from .disk import Disk
from .identities import Identities
from .keys import NodeKeys
from .network import Network
from .node import SimNode
from .plan import Plan
from .recorder import Recorder, WitnessedSigner, shown
from .timeline import Timeline
from .trace import Trace, TraceSink

CLUSTER = signing.cluster_id("simulated")
FIRST_INCARNATION = WALL_START_US // 1_000_000
SEEDS = 3
"""The first nodes are everybody's seeds."""
REFUSED_S = 0.0005
"""How soon a host without a listener refuses a stream."""
MEMBERSHIP = {
    "local": MembershipConfig.local,
    "lan": MembershipConfig.lan,
    "wan": MembershipConfig.wan,
    "hostile": MembershipConfig.hostile,
}


class World:
    """All of it. `timeline.run` lets time pass."""

    def __init__(self, plan: Plan, sink: TraceSink | None = None) -> None:
        self.plan = plan
        self.cluster = CLUSTER
        self.config = MEMBERSHIP[plan.membership]()
        self.timeline = Timeline()
        self.history = History(tuple(f"n{number}" for number in range(plan.nodes)))
        self.recorder = Recorder(self.timeline, self.history)
        self.trace = Trace(self, sink)
        self.network = Network(
            self.timeline,
            Random(f"{plan.seed}/network"),
            nodes=plan.nodes,
            loss=plan.loss,
            latency_s=plan.latency_s,
            arrive=self._arrive,
        )
        identities = self._identities = Identities(CLUSTER)
        self.verifier: Verifier = identities.verifier
        self.reading = identities.reading
        self.joined: Joined | None = None
        self.stored: tuple[RestoredBranch, ...] = ()
        seeds = tuple(range(min(SEEDS, plan.nodes)))
        self.nodes: list[SimNode] = []
        for number in range(plan.nodes):
            node = SimNode(
                self,
                number,
                keys=self._keys(number),
                seeds=seeds,
                seed=plan.seed,
            )
            self.nodes.append(node)
            self.recorder.names[node.id] = node.name
        self._number = {node.address: node.number for node in self.nodes}
        if plan.joined:
            self._join()

    def number_at(self, address: Address) -> int | None:
        """Which node listens there."""
        return self._number.get(address)

    def node_at(self, address: Address) -> NodeId | None:
        """Who listens there."""
        number = self._number.get(address)
        return self.nodes[number].id if number is not None else None

    def of(self, node: NodeId) -> str:
        """A node's name, for the trace."""
        return self.recorder.names.get(node) or short_id(node)

    def at(self, address: Address) -> str:
        """The name of who listens there, for the trace."""
        number = self._number.get(address)
        return f"n{number}" if number is not None else str(address)

    def live(self) -> list[SimNode]:
        """All nodes that are up."""
        return [node for node in self.nodes if node.up]

    def ask(self, sender: SimNode, face: int, request: Request) -> None:
        """Perform a request over a stream: exactly one answer or failure comes of it."""
        _Stream(self, sender, face, request).begin()

    def view(self, node: SimNode) -> View:
        """All that a node shows."""
        registry, membership = node.peer.registry, node.peer.membership
        beliefs = []
        for other in self.nodes:
            if other is not node:
                status = membership.status(other.id)
                belief = Belief(status.value) if status else Belief.UNKNOWN
                beliefs.append((other.name, belief))
        self.recorder.root(node.name, registry)
        sample = self.history.roots[-1]
        instances = shown(registry, self.recorder.names)
        return View(
            node.name, sample.heads, sample.root, instances, tuple(beliefs), sample.honest,
            disputed=tuple(
                other.name
                for other in self.nodes
                if (branch := registry.branch(other.id)) is not None and branch.disputed
            ),
            proofs=tuple(
                sorted(self.recorder.proof(case.evidence) for case in node.peer.docket.cases())
            ),
            standings=self.recorder.standings(registry),
        )  # fmt: skip

    def stolen(self, number: int, epoch: int) -> Signer:
        """A node's key as a thief has it: nobody watches what is signed with it."""
        return self._identities.signer(number, epoch)

    def _keys(self, number: int) -> NodeKeys:
        signer, chain = self._identities.of(number)

        def witnessed(signer: Signer) -> WitnessedSigner:
            return WitnessedSigner(signer, chain.node, self.recorder)

        return NodeKeys(
            witnessed(signer),
            chain,
            lambda epoch: witnessed(self._identities.signer(number, epoch)),
            Trust(self.cluster, self.verifier),
        )

    def _join(self) -> None:
        """All know each other from the start; joining is not the question."""
        now = self.nodes[0].now
        founders = [
            _Founder(n.keys.chain, n.keys.signer, n.record(FIRST_INCARNATION)) for n in self.nodes
        ]
        trust = Trust(self.cluster, self.verifier)
        self.joined = Joined.of(founders, trust, rings=self.config.rings, now=now)
        self.stored = self.joined.stored()
        for node in self.nodes:
            node.disk = Disk(self.stored)

    def _arrive(self, receiver: int, sender: int, datagram: bytes) -> None:
        self.nodes[receiver].arrive(sender, datagram)


@dataclass(frozen=True, slots=True)
class _Founder:
    chain: KeyChain
    signer: Signer
    record: NodeRecord


class _Stream:
    """One request on its way there and back."""

    __slots__ = ("done", "face", "life", "request", "sender", "world")

    def __init__(self, world: World, sender: SimNode, face: int, request: Request) -> None:
        self.world = world
        self.sender = sender
        self.face = face
        self.request = request
        self.life = sender.life
        self.done = False

    def begin(self) -> None:
        """Connect; a cut link answers nothing, a node that is down refuses."""
        world, request = self.world, self.request
        world.network.traffic.requests += 1
        world.timeline.after(request.timeout_s, self._end, None, None)
        number = world.number_at(request.to)
        if number is None:
            return
        receiver = world.nodes[number]
        trip = world.network.round_trip_s(self.sender.number, number, len(request.body))
        if trip is None:
            return
        if not receiver.up:
            world.timeline.after(REFUSED_S + trip, self._end, None, None)
        else:  # one round trip to connect and prove who is there, half of one for the request
            life = receiver.life
            world.timeline.after(1.5 * trip, receiver.hurry, life, self._serve, receiver, life)

    def _serve(self, receiver: SimNode, life: int) -> None:
        world, request = self.world, self.request
        if self.done or life != receiver.life:
            return
        if request.expected is not None and request.expected != receiver.id:
            self._end(None, None)
            return
        face = receiver.face_for(self.sender.number)
        if not self._meet(receiver, face):
            self._end(None, None)
            return
        answer = receiver.serve(face, request.body, self.sender)
        size = len(answer) if answer is not None else 0
        trip = world.network.round_trip_s(receiver.number, self.sender.number, size)
        if trip is not None:
            world.timeline.after(trip / 2, self._end, answer, receiver.id)

    def _meet(self, receiver: SimNode, face: int) -> bool:
        """Each sees the other's key events; who refuses a replaced key shows what replaced it."""
        sender = self.sender
        if not _meets(receiver, face, sender.keys.chain, sender):
            newer = receiver.faces[face].registry.chain(sender.id)
            if newer is not None:
                _meets(sender, self.face, newer, receiver)
            return False
        return _meets(sender, self.face, receiver.keys.chain, receiver)

    def _end(self, answer: bytes | None, by: NodeId | None) -> None:
        if not self.done:
            self.done = True
            self.sender.hurry(
                self.life, self.sender.answered, self.face, self.request.ticket, answer, by
            )


def _meets(node: SimNode, face: int, chain: KeyChain, other: SimNode) -> bool:
    good, effects = node.faces[face].met(chain.packed(), other.address, now=node.now)
    node.perform(face, effects)
    return good
