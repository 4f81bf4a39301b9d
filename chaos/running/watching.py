"""What each node believes and holds, asked all the while: one thread a node.

    every POLL_S    how it sees the others; its root, and if that is another, which heads it holds
    every SLOWLY_S  on which side of a partition it says it is, whether it takes work, its memory

A sample of a root counts if the root was the same before and after the heads were asked for, so
that both belong together (`heads`).

Rules this module keeps:

1. A node that does not answer tells nothing; what it believed stands until it starts anew.
2. A moment is that of the answer: by then it was so.
3. What was seen is bounded; what is left out is counted.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chaos.cluster.client import Answer, Client, NoAnswerError, Shape
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Accepted, Belief, Believed, RootSample

from .heads import heads_of, root_of
from .identities import Identities
from .journal import RunClock
from .record import Seen
from .threads import Threads

POLL_S = 0.05
SLOWLY_S = 0.25
TIMEOUT_S = 1.0
JOIN_S = 10.0
SEEN_MAX = 50_000
SAMPLES_MAX = 50_000
ACCEPTED_MAX = 200_000
_BELIEFS = {belief.value: belief for belief in Belief}
_KIBI = 1024

T = TypeVar("T")


@dataclass(slots=True)
class Sightings:
    """All that was seen."""

    beliefs: list[Believed] = field(default_factory=list)
    roots: list[RootSample] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    sides: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By node: when its partition state became which."""
    readiness: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By node: when `/readyz` began to answer with which status."""
    answered: dict[str, list[float]] = field(default_factory=dict)
    """By node: when each of its processes answered for the first time."""
    memory_bytes: dict[str, int] = field(default_factory=dict)
    """By node: the most resident memory that it was seen with; nothing where one cannot see it."""
    left_out: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self) -> list[Seen]:
        """The beliefs, for a report."""
        return [
            Seen(round(one.at_s, 3), one.node, one.subject, one.belief.value)
            for one in self.beliefs
        ]


class Watchers:
    """One for each node of a cluster.

    Args:
        cluster: whose nodes are asked.
        clock: the run's.
        identities: whose ids they are.
        suspects: nodes whose keys are misused in this run.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: RunClock,
        identities: Identities,
        suspects: Sequence[str] = (),
    ) -> None:
        self.sightings = Sightings()
        self._enough = threading.Event()
        watchers = {
            member.name: _Watcher(member, clock, identities, self.sightings, self._enough, suspects)
            for member in cluster.members
        }
        acts = {f"watch-{name}": watcher.run for name, watcher in watchers.items()}
        self._threads = Threads(acts, join_s=JOIN_S)

    def start(self) -> None:
        """Begin."""
        self._threads.start()

    def stop(self) -> None:
        """End; harmless when repeated."""
        self._enough.set()
        self._threads.join()


class _Watcher:
    """Asks one node."""

    def __init__(
        self,
        member: Member,
        clock: RunClock,
        identities: Identities,
        sightings: Sightings,
        enough: threading.Event,
        suspects: Sequence[str],
    ) -> None:
        self._member = member
        self._clock = clock
        self._identities = identities
        self._sightings = sightings
        self._enough = enough
        self._suspects = suspects
        self._pid = -1
        self._held: dict[str, Belief] = {}
        self._heads: dict[str, tuple[int, int]] = {}
        self._root = ""

    def run(self) -> None:
        """Ask until it is enough."""
        with self._member.client(timeout_s=TIMEOUT_S) as client:
            slowly_s = self._clock.now_s()
            while not self._enough.wait(POLL_S):
                try:
                    self._begin_anew_if_it_did()
                    self._look(client)
                    self._sample(client)
                    if self._clock.now_s() >= slowly_s:
                        slowly_s = self._clock.now_s() + SLOWLY_S
                        self._ask_slowly(client)
                except NoAnswerError:
                    continue

    def _begin_anew_if_it_did(self) -> None:
        pid = self._member.pid
        if pid != self._pid and self._identities.learn(self._member):
            self._pid, self._held, self._heads, self._root = pid, {}, {}, ""
            with self._sightings.lock:
                first = self._sightings.answered.setdefault(self._member.name, [])
                if len(first) < SEEN_MAX:
                    first.append(self._clock.now_s())

    def _look(self, client: Client) -> None:
        rows = client.call("GET", "/v1/peers").rows("peers")
        at_s, node = self._clock.now_s(), self._member.name
        found = beliefs_of(rows, self._identities)
        # Whoever is not listed any more was forgotten.
        found |= dict.fromkeys((one for one in self._held if one not in found), Belief.UNKNOWN)
        for subject, belief in found.items():
            if subject == node or self._held.get(subject) is belief:
                continue
            self._held[subject] = belief
            is_certified = any(
                self._identities.name_of(str(row.get("id"))) == subject
                and row.get("certified") is True
                for row in rows
            )
            with self._sightings.lock:
                if len(self._sightings.beliefs) >= SEEN_MAX:
                    self._sightings.left_out += 1
                    continue
                one = Believed(at_s, node, subject, belief, is_certified)
                self._sightings.beliefs.append(one)

    def _sample(self, client: Client) -> None:
        root = root_of(client.call)
        if root == self._root:
            return
        held = heads_of(client.call, self._identities, self._suspects, root=root)
        if held is None:
            return
        at_s, node, sightings = self._clock.now_s(), self._member.name, self._sightings
        self._root = held.root or self._root
        with sightings.lock:
            for owner, dot in held.dots.items():
                if self._heads.get(owner) == dot:
                    continue
                self._heads[owner] = dot
                if len(sightings.accepted) < ACCEPTED_MAX:
                    name = self._identities.name_of(owner)
                    sightings.accepted.append(
                        Accepted(at_s, node, name, dot, commit_of(owner, dot[1]), "")
                    )
                else:
                    sightings.left_out += 1
            if held.root and len(sightings.roots) < SAMPLES_MAX:
                sightings.roots.append(RootSample(at_s, node, held.all, held.root, held.honest))

    def _ask_slowly(self, client: Client) -> None:
        side = str(client.call("GET", "/v1/node").value.get("partition"))
        ready: Answer = client.call("GET", "/readyz")
        at_s, node, sightings = self._clock.now_s(), self._member.name, self._sightings
        held_bytes = resident_bytes(self._member.pid)
        with sightings.lock:
            _turned(sightings.sides.setdefault(node, []), at_s, side)
            _turned(sightings.readiness.setdefault(node, []), at_s, ready.status)
            if held_bytes > sightings.memory_bytes.get(node, 0):
                sightings.memory_bytes[node] = held_bytes


def _turned(told: list[tuple[float, T]], at_s: float, value: T) -> None:
    if (not told or told[-1][1] != value) and len(told) < SEEN_MAX:
        told.append((at_s, value))


def beliefs_of(rows: list[Shape], identities: Identities) -> dict[str, Belief]:
    """Whom a node takes for what, by name; of several ids of one name the best."""
    found: dict[str, Belief] = {}
    for row in rows:
        belief = _BELIEFS.get(str(row.get("status")))
        name = identities.name_of(str(row.get("id")))
        if belief is not None and (name not in found or belief is Belief.ALIVE):
            found[name] = belief
    return found


def commit_of(owner: str, version: int) -> str:
    """A commit's name, as far as one tells them apart from outside."""
    return f"{owner[:12]}-{version}"


def resident_bytes(pid: int) -> int:
    """The resident memory of a process of this machine; 0 if one cannot see it."""
    if not pid:
        return 0
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    words = next((line.split() for line in lines if line.startswith("VmRSS:")), [])
    return int(words[1]) * _KIBI if len(words) > 1 and words[1].isdigit() else 0
