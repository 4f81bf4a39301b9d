"""What each node believes and holds, asked all the while: one thread a node.

Every `PEERS_S` a node tells how it sees the others, every `ROOTS_S` which heads it holds and which
root it says. A sample of a root counts if the root was the same before and after the heads were
asked for, so that both belong together.

Rules this module keeps:

1. A node that does not answer tells nothing; what it believed stands until it starts anew.
2. What was seen is bounded by `SEEN_MAX`; no more is kept beyond it, and that is said.
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.cluster.client import Client, NoAnswerError, Shape
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Belief, Believed, RootSample

from .identities import Identities
from .journal import RunClock
from .record import Seen

PEERS_S = 0.1
ROOTS_S = 0.5
TIMEOUT_S = 1.0
JOIN_S = 10.0
SEEN_MAX = 50_000
SAMPLES_MAX = 20_000
_BELIEFS = {belief.value: belief for belief in Belief}


@dataclass(slots=True)
class Sightings:
    """All that was seen."""

    beliefs: list[Believed] = field(default_factory=list)
    roots: list[RootSample] = field(default_factory=list)
    sides: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By node: when its partition state became which."""
    left_out: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self) -> list[Seen]:
        """The beliefs, for a report."""
        return [
            Seen(round(one.at_s, 3), one.node, one.subject, one.belief.value)
            for one in self.beliefs
        ]


class Watchers:
    """One for each node of a cluster."""

    def __init__(self, cluster: Cluster, clock: RunClock, identities: Identities) -> None:
        self.sightings = Sightings()
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(
                target=_Watcher(member, clock, identities, self.sightings, self._enough).run,
                name=f"kith-chaos-watch-{member.name}",
                daemon=True,
            )
            for member in cluster.members
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; harmless when repeated."""
        self._enough.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(JOIN_S)


class _Watcher:
    """Asks one node."""

    def __init__(
        self,
        member: Member,
        clock: RunClock,
        identities: Identities,
        sightings: Sightings,
        enough: threading.Event,
    ) -> None:
        self._member = member
        self._clock = clock
        self._identities = identities
        self._sightings = sightings
        self._enough = enough
        self._pid = 0
        self._held: dict[str, Belief] = {}
        self._side = ""

    def run(self) -> None:
        """Ask until it is enough."""
        with self._member.client(timeout_s=TIMEOUT_S) as client:
            next_root_s = self._clock.now_s()
            while not self._enough.wait(PEERS_S):
                try:
                    self._look(client)
                    if self._clock.now_s() >= next_root_s:
                        next_root_s = self._clock.now_s() + ROOTS_S
                        self._sample(client)
                except NoAnswerError:
                    continue

    def _look(self, client: Client) -> None:
        pid = self._member.pid
        asked_s = self._clock.now_s()
        rows = client.call("GET", "/v1/peers").rows("peers")
        if pid != self._pid:
            self._pid, self._held = pid, {}
            self._identities.learn(self._member)
        for subject, belief in beliefs_of(rows, self._identities).items():
            if subject != self._member.name and self._held.get(subject) is not belief:
                self._held[subject] = belief
                self._note(asked_s, subject, belief, rows)

    def _note(self, at_s: float, subject: str, belief: Belief, rows: list[Shape]) -> None:
        certified = any(
            self._identities.name_of(str(row.get("id"))) == subject and row.get("certified") is True
            for row in rows
        )
        sightings = self._sightings
        with sightings.lock:
            if len(sightings.beliefs) >= SEEN_MAX:
                sightings.left_out += 1
                return
            sightings.beliefs.append(Believed(at_s, self._member.name, subject, belief, certified))

    def _sample(self, client: Client) -> None:
        at_s = self._clock.now_s()
        before = client.call("GET", "/v1/node").value
        clock = client.call("GET", "/v1/clock").value.get("clock")
        after = client.call("GET", "/v1/root").value.get("root")
        side = str(before.get("partition"))
        sightings = self._sightings
        with sightings.lock:
            if side != self._side:
                self._side = side
                sightings.sides.setdefault(self._member.name, []).append((at_s, side))
            if not isinstance(clock, dict) or before.get("root") != after:
                return
            if len(sightings.roots) < SAMPLES_MAX:
                heads = heads_of(clock)
                sightings.roots.append(RootSample(at_s, self._member.name, heads, str(after)))


def beliefs_of(rows: list[Shape], identities: Identities) -> dict[str, Belief]:
    """Whom a node takes for what, by name; of several ids of one name the best."""
    found: dict[str, Belief] = {}
    for row in rows:
        belief = _BELIEFS.get(str(row.get("status")))
        name = identities.name_of(str(row.get("id")))
        if belief is not None and (name not in found or belief is Belief.ALIVE):
            found[name] = belief
    return found


def heads_of(clock: Mapping[str, object]) -> str:
    """A hash over all heads that a node holds, by owner and version."""
    lines = []
    for owner, dot in sorted(clock.items()):
        if isinstance(dot, dict):
            lines.append(f"{owner} {dot.get('epoch')} {dot.get('version')}")
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
