"""The control: SWIM with Lifeguard, as memberlist runs it on a local network.

SWIM is Das, Gupta and Motivala, DSN 2002; Lifeguard is Dadgar, Phillips and Currey, DSN 2018. The
parameters are those of memberlist's `DefaultLANConfig`: a probe a second with 0.5 s for the answer,
then three indirect probes and one by TCP; suspicion of 4 to 24 times log10 n seconds, shortened by
two confirmations; gossip every 0.2 s to three, each item 4 ⌈log10(n + 1)⌉ times; push and pull of
all state every 30 s; the dead are told things for 30 s more.

Lifeguard is in it whole: a local score that stretches probes (with nacks from the relays), the
suspicion that shortens as others confirm, and the suspect that hears of it by the probe itself.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .network import Host, Network, Opinion

PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 0.5
INDIRECT_CHECKS = 3
NACK_SHARE = 0.8
"""Of the probe's time-out, after which a relay without an answer says so."""
SUSPICION_FACTOR = 4
SUSPICION_MAX_FACTOR = 6
AWARENESS_MAX = 8
RETRANSMIT_FACTOR = 4
GOSSIP_INTERVAL_S = 0.2
GOSSIP_NODES = 3
GOSSIP_TO_DEAD_S = 30.0
PUSH_PULL_INTERVAL_S = 30.0
PUSH_PULL_SCALES_ABOVE = 32

_STREAM_S = 0.01
_RUMOURS_MAX = 12
_RUMOUR_BYTES = 70
_PING_BYTES = 60
"""Sizes are about what memberlist's encoding takes for names of 16 bytes."""
_SLANDERED_MAX = 8


class State(enum.Enum):
    """What a node believes of another."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2


@dataclass(frozen=True, slots=True)
class Rumour:
    """That `author` holds `subject`, in that incarnation, for so well."""

    state: State
    subject: int
    incarnation: int
    author: int


@dataclass(slots=True)
class _Known:
    state: State = State.ALIVE
    incarnation: int = 0
    dead_at: float = 0.0


@dataclass(slots=True)
class _Suspicion:
    since: float
    incarnation: int
    authors: dict[int, None]


@dataclass(slots=True)
class _Probe:
    subject: int
    relays: int = 0
    nacks: int = 0


@dataclass(slots=True)
class _Queued:
    rumour: Rumour
    said: int = 0


@dataclass(slots=True, kw_only=True)
class SwimNode(Host):
    """One node: its beliefs, its rumours to tell, its probes under way."""

    known: list[_Known]
    incarnation: int = 0
    awareness: int = 0
    suspicions: dict[int, _Suspicion] = field(default_factory=dict)
    queue: dict[int, _Queued] = field(default_factory=dict)
    probes: dict[int, _Probe] = field(default_factory=dict)
    round: list[int] = field(default_factory=list)


class SwimWorld(Network[SwimNode]):
    """`size` nodes of SWIM that know each other from the start."""

    def __init__(self, size: int, *, seed: int, loss: float = 0.0) -> None:
        super().__init__(size, seed=seed, loss=loss)
        self._size = size
        self._probes_made = 0
        self._said_max = RETRANSMIT_FACTOR * math.ceil(math.log10(size + 1))
        self._suspicion_min_s = SUSPICION_FACTOR * max(1.0, math.log10(size)) * PROBE_INTERVAL_S
        self._confirmations = SUSPICION_FACTOR - 2 if size - 2 >= SUSPICION_FACTOR - 2 else 0
        self.nodes = [self._new_node(number) for number in range(size)]
        for node in self.nodes:
            self.after(node, self.rng.random(), partial(self._start, node))

    def restart(self, number: int) -> None:
        """Start a stopped node anew; it joins by a push and pull, and says that it lives."""
        old = self.nodes[number]
        self.nodes[number] = node = self._new_node(number)
        node.sent, node.sent_bytes, node.incarnation = old.sent, old.sent_bytes, old.incarnation + 1
        for other in range(len(self.nodes)):
            self._note(node, other, away=False)
        self._start(node)
        self._push_pull(node)
        self._refute(node, node.incarnation)

    def slander_subjects(self, author: int) -> None:
        """The author suspects eight others at random."""
        node = self.nodes[author]
        size = len(self.nodes)
        for subject in self.rng.sample(range(size), min(_SLANDERED_MAX, size)):
            if subject != author:
                incarnation = self.nodes[subject].incarnation
                self._say(node, Rumour(State.SUSPECT, subject, incarnation, author))

    def _new_node(self, number: int) -> SwimNode:
        return SwimNode(number, known=[_Known() for _ in range(self._size)])

    def _start(self, node: SwimNode) -> None:
        self._probe_next(node)
        self.after(node, self.rng.random() * GOSSIP_INTERVAL_S, partial(self._gossip, node))
        self.after(node, self.rng.random() * PUSH_PULL_INTERVAL_S, partial(self._sync, node))

    # Probes

    def _probe_next(self, node: SwimNode) -> None:
        interval_s = PROBE_INTERVAL_S * (node.awareness + 1)
        subject = self._next_subject(node)
        if subject is not None:
            self._probe(node, subject, interval_s)
        self.after(node, interval_s, partial(self._probe_next, node))

    def _next_subject(self, node: SwimNode) -> int | None:
        """Round robin in an order drawn anew each round (SWIM, section 4.3)."""
        for _ in range(len(self.nodes) + 1):
            if not node.round:
                node.round = [n for n in range(len(self.nodes)) if n != node.number]
                self.rng.shuffle(node.round)
            subject = node.round.pop()
            if node.known[subject].state is not State.DEAD:
                return subject
        return None

    def _probe(self, node: SwimNode, subject: int, interval_s: float) -> None:
        self._probes_made += 1
        number = self._probes_made
        node.probes[number] = _Probe(subject)
        belief = node.known[subject]
        if belief.state is State.SUSPECT:
            # Lifeguard's buddy system: the suspect hears of it first, from whoever probes it.
            self._say(node, Rumour(State.SUSPECT, subject, belief.incarnation, node.number))
        self._tell(node, subject, partial(self._answer, number=number, via=None, to=node.number))
        timeout_s = PROBE_TIMEOUT_S * (node.awareness + 1)
        self.after(node, timeout_s, partial(self._probe_indirectly, node, number))
        self.after(node, interval_s, partial(self._conclude, node, number))

    def _answer(self, subject: SwimNode, *, number: int, via: int | None, to: int) -> None:
        if via is None:
            self._tell(subject, to, partial(self._answered, number=number))
        else:
            self._tell(subject, via, partial(self._relay_answer, number=number, to=to))

    def _relay_answer(self, relay: SwimNode, *, number: int, to: int) -> None:
        relay.probes.pop(-number, None)
        self._tell(relay, to, partial(self._answered, number=number))

    def _answered(self, node: SwimNode, *, number: int) -> None:
        if node.probes.pop(number, None) is not None:
            node.awareness = max(0, node.awareness - 1)

    def _probe_indirectly(self, node: SwimNode, number: int) -> None:
        probe = node.probes.get(number)
        if probe is None:
            return
        others = [
            other
            for other, belief in enumerate(node.known)
            if other not in (node.number, probe.subject) and belief.state is State.ALIVE
        ]
        relays = self.rng.sample(others, min(INDIRECT_CHECKS, len(others)))
        probe.relays = len(relays)
        for relay in relays:
            request = partial(self._relay, number=number, subject=probe.subject, to=node.number)
            self._tell(node, relay, request)
        if self.joined(node, self.nodes[probe.subject]) and self.stream_holds():
            self.after(node, _STREAM_S, partial(self._answered, node, number=number))

    def _relay(self, relay: SwimNode, *, number: int, subject: int, to: int) -> None:
        relay.probes[-number] = _Probe(subject)
        self._tell(relay, subject, partial(self._answer, number=number, via=relay.number, to=to))
        self.after(
            relay, NACK_SHARE * PROBE_TIMEOUT_S, partial(self._relay_silence, relay, number, to)
        )

    def _relay_silence(self, relay: SwimNode, number: int, to: int) -> None:
        if relay.probes.pop(-number, None) is not None:
            self._tell(relay, to, partial(self._hear_nack, number=number))

    def _hear_nack(self, node: SwimNode, *, number: int) -> None:
        probe = node.probes.get(number)
        if probe is not None:
            probe.nacks += 1

    def _conclude(self, node: SwimNode, number: int) -> None:
        probe = node.probes.pop(number, None)
        if probe is None:
            return
        # Relays that said nothing at all hint that the weakness is our own (Lifeguard, 4.1).
        missing = probe.relays - probe.nacks if probe.relays else 1
        node.awareness = min(AWARENESS_MAX - 1, node.awareness + max(0, missing))
        incarnation = node.known[probe.subject].incarnation
        self._hear(node, Rumour(State.SUSPECT, probe.subject, incarnation, node.number))

    # Beliefs

    def _hear(self, node: SwimNode, rumour: Rumour) -> None:
        if rumour.subject == node.number:
            if rumour.state is not State.ALIVE and rumour.incarnation >= node.incarnation:
                self._refute(node, rumour.incarnation)
                node.awareness = min(AWARENESS_MAX - 1, node.awareness + 1)
            return
        belief = node.known[rumour.subject]
        if rumour.state is State.ALIVE:
            if rumour.incarnation > belief.incarnation:
                belief.state, belief.incarnation = State.ALIVE, rumour.incarnation
                node.suspicions.pop(rumour.subject, None)
                self._note(node, rumour.subject, away=False)
                self._say(node, rumour)
        elif rumour.incarnation >= belief.incarnation and belief.state is not State.DEAD:
            if rumour.state is State.DEAD:
                self._bury(node, rumour)
            else:
                self._suspect(node, rumour)

    def _suspect(self, node: SwimNode, rumour: Rumour) -> None:
        suspicion = node.suspicions.get(rumour.subject)
        if suspicion is None:
            belief = node.known[rumour.subject]
            belief.state, belief.incarnation = State.SUSPECT, rumour.incarnation
            suspicion = _Suspicion(self.now, rumour.incarnation, {rumour.author: None})
            node.suspicions[rumour.subject] = suspicion
        elif rumour.author in suspicion.authors or len(suspicion.authors) > self._confirmations:
            return
        else:
            suspicion.authors[rumour.author] = None
        self._say(node, rumour)
        self._expire(node, rumour.subject, suspicion)

    def _expire(self, node: SwimNode, subject: int, suspicion: _Suspicion) -> None:
        """The member is dead if it has been suspect for long enough; otherwise look again then."""
        if node.suspicions.get(subject) is not suspicion:
            return
        left_s = suspicion.since + self._patience_s(len(suspicion.authors)) - self.now
        if left_s <= 1e-6:
            self._bury(node, Rumour(State.DEAD, subject, suspicion.incarnation, node.number))
        else:
            self.after(node, left_s, partial(self._expire, node, subject, suspicion))

    def _patience_s(self, authors: int) -> float:
        """How long a suspect may take to refute; shorter with each confirmation (Lifeguard)."""
        if not self._confirmations:
            return self._suspicion_min_s
        most_s = SUSPICION_MAX_FACTOR * self._suspicion_min_s
        share = math.log(authors) / math.log(self._confirmations + 1)
        return max(self._suspicion_min_s, most_s - share * (most_s - self._suspicion_min_s))

    def _bury(self, node: SwimNode, rumour: Rumour) -> None:
        belief = node.known[rumour.subject]
        belief.state, belief.incarnation = State.DEAD, rumour.incarnation
        belief.dead_at = self.now
        node.suspicions.pop(rumour.subject, None)
        self._note(node, rumour.subject, away=True)
        self._say(node, rumour)

    def _refute(self, node: SwimNode, incarnation: int) -> None:
        node.incarnation = max(node.incarnation, incarnation) + 1
        self._say(node, Rumour(State.ALIVE, node.number, node.incarnation, node.number))

    def _note(self, node: SwimNode, subject: int, *, away: bool) -> None:
        self.opinions.append(Opinion(self.now, node.number, subject, away, away))

    # Gossip

    def _say(self, node: SwimNode, rumour: Rumour) -> None:
        node.queue[rumour.subject] = _Queued(rumour)

    def _piggyback(self, node: SwimNode) -> list[Rumour]:
        """Take what was said least, as much as fits."""
        chosen = sorted(node.queue, key=lambda subject: node.queue[subject].said)[:_RUMOURS_MAX]
        rumours = [node.queue[subject].rumour for subject in chosen]
        for subject in chosen:
            node.queue[subject].said += 1
            if node.queue[subject].said >= self._said_max:
                del node.queue[subject]
        return rumours

    def _tell(self, node: SwimNode, to: int, action: Callable[[SwimNode], None] | None) -> None:
        rumours = self._piggyback(node)

        def arrive(receiver: SwimNode) -> None:
            for rumour in rumours:
                self._hear(receiver, rumour)
            if action is not None:
                action(receiver)

        size = _PING_BYTES * (action is not None) + _RUMOUR_BYTES * len(rumours)
        self.transmit(node, to, arrive, size_bytes=size)

    def _gossip(self, node: SwimNode) -> None:
        others = [
            other
            for other, belief in enumerate(node.known)
            if other != node.number
            and (belief.state is not State.DEAD or self.now - belief.dead_at < GOSSIP_TO_DEAD_S)
        ]
        if node.queue:
            for other in self.rng.sample(others, min(GOSSIP_NODES, len(others))):
                if node.queue:
                    self._tell(node, other, None)
        self.after(node, GOSSIP_INTERVAL_S, partial(self._gossip, node))

    def _sync(self, node: SwimNode) -> None:
        self._push_pull(node)
        size = len(self.nodes)
        over = max(1.0, size / PUSH_PULL_SCALES_ABOVE)
        scale = math.ceil(math.log2(over)) + 1
        self.after(node, PUSH_PULL_INTERVAL_S * scale, partial(self._sync, node))

    def _push_pull(self, node: SwimNode) -> None:
        """Exchange all beliefs with somebody over a stream; what the other holds dead, we doubt."""
        others = [
            other
            for other, belief in enumerate(node.known)
            if other != node.number and belief.state is not State.DEAD
        ]
        if not others:
            return
        other = self.nodes[self.rng.choice(others)]
        if not self.joined(node, other):
            return
        for speaker, listener in ((node, other), (other, node)):
            for subject, belief in enumerate(speaker.known):
                own = subject == speaker.number
                incarnation = speaker.incarnation if own else belief.incarnation
                alive = own or belief.state is State.ALIVE
                state = State.ALIVE if alive else State.SUSPECT
                self._hear(listener, Rumour(state, subject, incarnation, speaker.number))
