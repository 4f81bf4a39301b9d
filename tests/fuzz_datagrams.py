"""Throws random and mutated datagrams and stream frames at a `Peer`: nothing may raise.

    python -m tests.fuzz_datagrams 1000000 --seed 1

Datagrams and frames of every kind are recorded in a small world with losses, crashes and a fork,
then damaged: bits flipped, cut, spliced, values put in the place of others. Half of the datagrams
get a right MAC, so that what is read behind it is reached too. Deterministic by seed.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import cast

import msgpack

from protocol import limits, signing
from protocol.clocks import Instant
from protocol.commits import Change, Dot, Draft, RecordKey, make_commit
from protocol.effects import Drop, Effect, Persist, Request
from protocol.wire.messages import DatagramKind, Push, encode, seal
from tests.protocol.peer_world import CLUSTER, Node, World, service

COUNT_MAX = 100_000_000
_MAC = signing.MAC_BYTES
_BOUNDARY = (0x00, 0x7F, 0x80, 0x90, 0x9F, 0xC0, 0xC4, 0xC6, 0xCF, 0xD9, 0xDB, 0xDD, 0xDF, 0xFF)
_VALUES: tuple[object, ...] = (
    0, 1, -1, 255, 2**32, 2**62 - 1, 2**62, 2**63 - 1, 2**64 - 1, -(2**63), True, False, None, 1.5,
    "", "a", "é" * 40, b"", bytes(16), bytes(31), bytes(32), b"\xff" * 64, [], [[]], [0] * 70, {},
)  # fmt: skip


@dataclass
class Figures:
    """What was thrown, and what became of it."""

    given: int = 0
    bodies_read: int = 0
    """Datagrams that came past the MAC, and were not malformed."""
    accepted: int = 0
    """Odd commits of a member that were taken, since they break no rule."""
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Corpus:
    """Real bytes to damage, and the victim that they were meant for."""

    world: World
    victim: Node
    datagrams: list[tuple[Node, bytes]]
    requests: list[bytes]
    answers: list[bytes]


def corpus() -> Corpus:
    """Record a life with everything in it: loss, a crash, an old disk and a fork."""
    world = World(6, loss=0.1)
    world.datagrams, world.frames = [], []
    world.start_joined()
    world.loss = 0.4
    for port in range(40):
        world.nodes[port % 6].propose(service(port=8_000 + port % 12, version=str(port)))
        world.run(0.05)
    world.loss = 0.1
    world.nodes[0].propose(remove=(RecordKey(1, "web/web-8000"),))
    forker = world.nodes[5]
    disk = forker.disk.copy()
    forker.propose(service(port=1))
    world.run(1)
    forker.crash()
    world.run(4)
    world.cut = lambda _a, b: b is forker
    forker.disk = disk
    forker.start()
    forker.propose(service(port=2))
    world.run(4)
    world.cut = lambda _a, _b: False
    world.run(4)
    world.nodes[4].rotate()
    world.run(1)
    victim = world.nodes[1]
    datagrams = [(a, raw) for a, b, raw in world.datagrams if b is victim]
    frames = world.frames
    world.datagrams = world.frames = None
    missing = set(DatagramKind) - {DatagramKind(raw[1]) for _, raw in datagrams}
    assert not missing, f"no datagram of {missing} was recorded"
    requests = [request for _, b, request, _ in frames if b is victim]
    answers = [answer for a, _, _, answer in frames if a is victim and answer is not None]
    return Corpus(world, victim, datagrams, requests, answers)


def mutated(raw: bytes, rng: Random, other: bytes) -> bytes:
    """The bytes with one to four things wrong."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data)) if data else 0
        what = rng.randrange(8)
        if what == 0:
            data = bytearray(rng.randbytes(rng.choice((0, 1, 17, 33, 34, 60, 400, 1_200, 1_201))))
        elif what == 1:
            del data[at:]
        elif what == 2:
            del data[at : at + rng.randrange(1, 9)]
        elif what == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif what == 4:
            cut = rng.randrange(len(other)) if other else 0
            data[at:] = other[cut:]
        elif data and what == 5:
            data[at] = rng.choice(_BOUNDARY)
        elif data and what == 6:
            data[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8, b"\xcf" + b"\xff" * 7))
        elif data:
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def reworded(raw: bytes, rng: Random) -> bytes:
    """The same array with one value replaced, still canonical, so that its checks are reached."""
    try:
        value = msgpack.unpackb(raw)
    except (ValueError, msgpack.UnpackException):
        return raw
    here = value
    while isinstance(here, list) and here:
        at = rng.randrange(len(here))
        if isinstance(here[at], list) and here[at] and rng.random() < 0.9:
            here = here[at]
            continue
        old = here[at]
        if isinstance(old, bytes) and rng.random() < 0.6:
            here[at] = reworded(old, rng) if len(old) > 64 else rng.randbytes(len(old))
        elif rng.random() < 0.2:
            here[at:at] = here[at:] * rng.choice((1, 2, 30))
        elif rng.random() < 0.2:
            del here[at]
        else:
            here[at] = rng.choice(_VALUES)
        break
    return cast(bytes, msgpack.packb(value))


class Fuzzer:
    """One victim under fire."""

    def __init__(self, seed: int) -> None:
        self.corpus = corpus()
        self.rng = Random(seed)
        self.figures = Figures()
        self.now = self.corpus.world.time
        self.waiting: list[int] = []
        victim = self.corpus.victim
        self.keys = {
            node.id: signing.mac_key(secret, CLUSTER)
            for node in self.corpus.world.nodes
            if (secret := node.keys.agree(victim.keys.public_key)) is not None
        }

    def step(self) -> None:
        """Throw one thing."""
        self.now += 0.0001
        self.figures.given += 1
        what = self.rng.random()
        if what < 0.6:
            self._datagram()
        elif what < 0.7:
            self._signed()
        elif what < 0.9 or not self.waiting:
            self._request()
        else:
            self._answer()
        if self.figures.given % 50 == 0:
            self._take(self.corpus.victim.peer.tick(now=self._instant()))

    def _datagram(self) -> None:
        rng, known = self.rng, self.corpus.datagrams
        sender, raw = rng.choice(known)
        other = rng.choice(known)[1]
        if rng.random() < 0.5:
            datagram = mutated(raw, rng, other)
        else:
            body = reworded(raw[18:-_MAC], rng)
            if rng.random() < 0.4:
                body = mutated(body, rng, other[18:-_MAC])
            kind = raw[1] if rng.random() < 0.9 else rng.choice(list(DatagramKind))
            message = bytes((raw[0], kind)) + raw[2:18] + body
            datagram = message + signing.mac(self.keys[sender.id], message)
        peer = self.corpus.victim.peer
        effects = peer.receive(datagram, sender.address, now=self._instant())
        refused = {effect.reason for effect in effects if isinstance(effect, Drop)}
        self.figures.bodies_read += not refused & {
            "bad_mac", "malformed", "unknown_sender", "oversized", "unknown_version", "foreign"
        }  # fmt: skip
        self._take(effects)

    def _signed(self) -> None:
        """A member that means harm signs odd things about itself, in due form."""
        rng, victim = self.rng, self.corpus.victim.peer
        node = rng.choice([n for n in self.corpus.world.nodes if n is not self.corpus.victim])
        branch = victim.registry.branch(node.id)
        if branch is None or branch.head is None:
            return
        keys = [*branch.records, RecordKey(rng.randrange(6), "odd")]
        changes = []
        for key in sorted(rng.sample(keys, k=rng.randrange(min(4, len(keys))))):
            old = branch.records.get(key)
            body = reworded(old.body, rng) if old and rng.random() < 0.7 else rng.randbytes(9)
            changes.append(Change(key.kind, key.key, rng.choice((body, body, None))))
        draft = Draft(
            owner=node.id if rng.random() < 0.95 else self.corpus.victim.id,
            dot=Dot(rng.choice((0, 0, 0, 1)), branch.dot.version + rng.randrange(-1, 3)),
            parents=(branch.head.hash,) if rng.random() < 0.8 else (),
            issued_at=rng.choice((0, branch.head.issued_at, 2**62 - 1)),
            state_root=branch.preview(changes) if rng.random() < 0.9 else bytes(32),
        )
        if draft.dot.version < 1:
            return
        commit = make_commit(draft, changes, key=node.keys, cluster=CLUSTER)
        datagram = seal(node.id, self.keys[node.id], *encode(Push((commit,), ())))
        effects = victim.receive(datagram, node.address, now=self._instant())
        self.figures.accepted += victim.registry.vector()[node.id] == draft.dot
        self._take(effects)

    def _request(self) -> None:
        frame = self._mutated_frame(self.corpus.requests)
        caller = self.rng.choice(self.corpus.world.nodes)
        victim = self.corpus.victim.peer
        answer, effects = victim.serve(frame, caller.id, caller.address, now=self._instant())
        self.figures.answered += answer is not None
        assert answer is None or len(answer) <= limits.FRAME_MAX
        self._take(effects)

    def _answer(self) -> None:
        ticket = self.waiting.pop(self.rng.randrange(len(self.waiting)))
        frame = self._mutated_frame(self.corpus.answers) if self.rng.random() < 0.95 else None
        by = self.rng.choice(self.corpus.world.nodes).id
        peer = self.corpus.victim.peer
        self._take(peer.answered(ticket, frame, by, now=self._instant()))

    def _mutated_frame(self, frames: list[bytes]) -> bytes:
        frame = self.rng.choice(frames)
        if self.rng.random() < 0.5:
            return reworded(frame, self.rng)
        return mutated(frame, self.rng, self.rng.choice(frames))

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Drop):
                self.figures.refused[effect.reason] += 1
            elif isinstance(effect, Request):
                self.waiting.append(effect.ticket)
            elif isinstance(effect, Persist):
                self._take(self.corpus.victim.peer.persisted(now=self._instant()))

    def _instant(self) -> Instant:
        return Instant(self.now, self.corpus.world.now.wall_us + int(self.now * 1e6))


def fuzz(count: int, *, seed: int) -> Figures:
    """Throw `count` things at a fresh peer; whatever it raises is raised."""
    if not 1 <= count <= COUNT_MAX:
        raise ValueError(f"count: {count} is not in 1..{COUNT_MAX}")
    fuzzer = Fuzzer(seed)
    for _ in range(count):
        fuzzer.step()
    return fuzzer.figures


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help=f"how many to throw, at most {COUNT_MAX}")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    started = time.perf_counter()
    figures = fuzz(given.count, seed=given.seed)
    took_s = time.perf_counter() - started
    sys.stdout.write(
        f"{figures.given} thrown in {took_s:.0f} s, {figures.bodies_read} datagrams read to the "
        f"end, {figures.accepted} odd commits taken, {figures.answered} requests answered\n"
        f"refused: {dict(figures.refused)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
