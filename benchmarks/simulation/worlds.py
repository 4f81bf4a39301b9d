"""Simulated clusters as these measurements need them: known to each other, running, counted.

Rule this module keeps: a world behaves as in `chaos.sim`; only the hash over its trace is left out,
for counts of what is sent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from random import Random

from chaos.history import Outcome
from chaos.sim.node import SimNode
from chaos.sim.plan import Plan
from chaos.sim.trace import Names, Trace
from chaos.sim.world import World
from protocol.bodies import key_of
from protocol.effects import Effect, Request, Send
from protocol.records import ServiceRecord
from protocol.wire.messages import DatagramKind

STEP_S = 0.005
"""How often it is looked whether something has happened; times are exact all the same."""
METADATA = {"build": "2026-02-11T08:30:00Z", "commit": "9f2c41d7e0b85a63", "team": "checkout"}
"""As in the measurements of real nodes: the record is some 300 bytes."""
SPREADING = (DatagramKind.PUSH, DatagramKind.ADVERT, DatagramKind.WANT)
"""What nodes send because there is something new; all else is watching each other."""


@dataclass(slots=True)
class Sent:
    """What all nodes of a world have sent so far. Bytes are those of datagrams, without headers."""

    datagrams: int = 0
    bytes: int = 0
    spreading: int = 0
    spreading_bytes: int = 0
    requests: int = 0

    def since(self, before: "Sent") -> "Sent":
        """What came after `before`."""
        return Sent(
            self.datagrams - before.datagrams,
            self.bytes - before.bytes,
            self.spreading - before.spreading,
            self.spreading_bytes - before.spreading_bytes,
            self.requests - before.requests,
        )


class Meter(Trace):
    """Counts effects instead of hashing them."""

    def __init__(self, names: Names) -> None:
        super().__init__(names, None)
        self._sent = Sent()

    @property
    def sent(self) -> Sent:
        """A copy of the counts."""
        return self._sent.since(Sent())

    def note(self, at_s: float, node: str, text: str) -> None:
        """Nothing is counted of what is no effect."""

    def effect(self, at_s: float, number: int, node: str, effect: Effect) -> None:
        """Count one effect."""
        sent = self._sent
        match effect:
            case Send(_, datagram):
                sent.datagrams += 1
                sent.bytes += len(datagram)
                if datagram[1] in SPREADING:
                    sent.spreading += 1
                    sent.spreading_bytes += len(datagram)
            case Request():
                sent.requests += 1
            case _:
                pass


class SharedMachine(World):
    """All nodes on one machine: each datagram takes `step_s` of one of its `cores`.

    Datagrams are taken in the order in which they come, each by the first core that is free. Ticks
    and streams cost nothing.
    """

    def __init__(self, plan: Plan, *, cores: int, step_s: float) -> None:
        super().__init__(plan)
        self._step_s = step_s
        self._free_at = [0.0] * cores
        heapify(self._free_at)

    def _arrive(self, receiver: int, sender: int, datagram: bytes) -> None:
        done_s = max(self.timeline.now, self._free_at[0]) + self._step_s
        heapreplace(self._free_at, done_s)
        self.timeline.at(done_s, super()._arrive, receiver, sender, datagram)


@dataclass(frozen=True, slots=True)
class Update:
    """How one update came around."""

    arrivals_s: tuple[float, ...]
    """From asking its owner until each other node held it, in order; who never did is missing."""
    acknowledged_s: float
    """From asking until the owner said that it is on disk."""
    sent: Sent
    """By all nodes, from asking until it was quiet again."""

    def time_s(self, share: float, others: int) -> float | None:
        """Until that share of the others held it; None if it never was."""
        rank = max(1, math.ceil(round(share * others, 9)))
        return self.arrivals_s[rank - 1] if rank <= len(self.arrivals_s) else None


class Cluster:
    """A world that runs, and what can be done with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.meter = Meter(world)
        world.trace = self.meter
        self._registered = 0

    @classmethod
    def joined(cls, plan: Plan) -> "Cluster":
        """All nodes know each other, and all start at once."""
        cluster = cls(World(plan))
        for node in cluster.world.nodes:
            node.start()
        return cluster

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.world.timeline.now

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.timeline.run(self.now + seconds)

    def update(self, owner: SimNode, *, within_s: float, quiet_s: float) -> Update:
        """Register one service, wait until all that are up hold it, and then until it is quiet.

        Raises:
            RuntimeError: the owner did not take it.
        """
        self._registered += 1
        body = ServiceRecord(
            name=f"bench-{self._registered}",
            id=f"bench-{self._registered}",
            address=owner.address.host,
            port=20_000 + self._registered % 10_000,
            tags=("bench", "v2"),
            metadata=tuple(METADATA.items()),
        )
        accepted = self.world.history.accepted
        first, before, asked_s = len(accepted), self.meter.sent, self.now
        answers: list[tuple[Outcome, float]] = []
        owner.submit({key_of(body): body}, lambda said: answers.append((said, self.now)))
        awaited = len(self.world.live()) - 1
        arrivals: dict[str, float] = {}
        while len(arrivals) < awaited and self.now < asked_s + within_s:
            self.run(STEP_S)
            for one in accepted[first:]:
                if one.owner == owner.name != one.node:
                    arrivals.setdefault(one.node, one.at_s - asked_s)
            first = len(accepted)
        self.run(quiet_s)
        if [said for said, _ in answers] != [Outcome.OK]:
            raise RuntimeError(f"{owner.name} did not take the update: {answers}")
        sent = self.meter.sent.since(before)
        return Update(tuple(sorted(arrivals.values())), answers[0][1] - asked_s, sent)


def pick(rng: Random, nodes: Sequence[SimNode]) -> SimNode:
    """One that is up, by lot."""
    return rng.choice([node for node in nodes if node.up])
