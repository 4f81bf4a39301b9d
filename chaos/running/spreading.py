"""How updates spread: when each node shows a write, as its stream of events tells.

    GET /v1/events, one stream a node ─▶ Arrivals: which write came to which node when
    acknowledgements and links         ─▶ coverage_of: how long until one node had it, two, …

A write leaves its number in the instance's metadata, and the event of it carries that. So nothing
has to be asked, and the time is that of the event, not of some poll.

Rules this module keeps:

1. What is kept is bounded: beyond `NUMBERS_MAX` writes every second one is followed, then every
   fourth.
2. Only nodes that the owner reached all the while are counted, and not for longer than `COVER_S`.
"""

import json
import math
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from chaos.checkers.detection import sides_of
from chaos.checkers.lives import Process, processes
from chaos.checkers.soundness import LinkTimes
from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Action, History, Key, Operation, Outcome

from .asking import NUMBER
from .journal import RunClock
from .record import Coverage
from .threads import Threads

NUMBERS_MAX = 4_096
COVER_S = 10.0
COVERAGE_MAX = 2_000
IDLE_S = 1.0
"""A stream that says nothing for so long is opened anew; what came meanwhile is caught up."""
AGAIN_S = 0.1
JOIN_S = 10.0
_PATH = "/v1/events?kind=registered&kind=changed"
_DATA, _ID, _RESET = b"data: ", b"id: ", b"event: reset"
SPANS_MAX = 10_000


@dataclass(slots=True)
class Arrivals:
    """Which write was seen at which node when, by the run's clock."""

    by_number: dict[int, dict[str, float]] = field(default_factory=dict)
    stride: int = 1
    """Only every so manieth number is followed."""
    followed: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By node: from when until when not one event of it was missed."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def came(self, number: int, node: str, at_s: float) -> None:
        """A node shows it."""
        with self._lock:
            if number % self.stride:
                return
            self.by_number.setdefault(number, {}).setdefault(node, at_s)
            if len(self.by_number) > NUMBERS_MAX:
                self.stride *= 2
                for one in [one for one in self.by_number if one % self.stride]:
                    del self.by_number[one]

    def begins(self, node: str, at_s: float) -> None:
        """From now on nothing is missed, until told otherwise."""
        with self._lock:
            spans = self.followed.setdefault(node, [])
            if len(spans) < SPANS_MAX:
                spans.append((at_s, math.inf))

    def breaks(self, node: str, at_s: float) -> None:
        """What came after that moment may be missed."""
        with self._lock:
            spans = self.followed.get(node, [])
            if spans and spans[-1][1] == math.inf:
                spans[-1] = spans[-1][0], at_s

    def misses_nothing(self, node: str, begin_s: float, end_s: float) -> bool:
        """Whether every event of that time was seen."""
        return any(
            first_s <= begin_s and end_s <= last_s
            for first_s, last_s in self.followed.get(node, ())
        )


class Followers:
    """A stream of events from each node of a cluster."""

    def __init__(self, cluster: Cluster, clock: RunClock) -> None:
        self.arrivals = Arrivals()
        self._enough = threading.Event()
        acts = {
            f"follow-{member.name}": partial(self._follow, member, clock)
            for member in cluster.members
        }
        self._threads = Threads(acts, join_s=JOIN_S)

    def start(self) -> None:
        """Begin."""
        self._threads.start()

    def stop(self) -> None:
        """End; harmless when repeated."""
        self._enough.set()
        self._threads.join()

    def _follow(self, member: Member, clock: RunClock) -> None:
        stream = _Stream(member.name, clock, self.arrivals)
        with member.client(timeout_s=IDLE_S) as client:
            while not self._enough.is_set():
                told = stream.told
                try:
                    for line in client.lines(stream.path):
                        stream.take(line)
                        if self._enough.is_set():
                            return
                except NoAnswerError:
                    if stream.told == told:
                        self._enough.wait(AGAIN_S)


class _Stream:
    """What one node's stream says, over breaks."""

    def __init__(self, node: str, clock: RunClock, arrivals: Arrivals) -> None:
        self._node, self._clock, self._arrivals = node, clock, arrivals
        self._last_id = ""
        self._last_s = 0.0
        self.told = 0
        """Lines so far."""

    @property
    def path(self) -> str:
        """What to ask for: all that comes after the last event."""
        return f"{_PATH}&since={self._last_id}" if self._last_id else _PATH

    def take(self, line: bytes) -> None:
        """One line."""
        now_s = self._clock.now_s()
        if not self.told:
            self._arrivals.begins(self._node, now_s)
        elif line.startswith(_RESET):
            # The node lives anew; what it came to know before we were back is not told.
            self._arrivals.breaks(self._node, self._last_s)
            self._arrivals.begins(self._node, now_s)
        elif line.startswith(_ID):
            self._last_id = line[len(_ID) :].decode("ascii", "replace").strip()
        elif line.startswith(_DATA):
            number = number_of(line[len(_DATA) :])
            if number is not None:
                self._arrivals.came(number, self._node, now_s)
        self.told += 1
        self._last_s = now_s


def number_of(data: bytes) -> int | None:
    """The number of the write that an event is about; None if it is about none of ours."""
    try:
        event: object = json.loads(data)
    except ValueError:
        return None
    metadata = event.get("metadata") if isinstance(event, dict) else None
    number = metadata.get(NUMBER) if isinstance(metadata, dict) else None
    return int(number) if isinstance(number, str) and number.isdecimal() else None


@dataclass(frozen=True, slots=True)
class _Reach:
    """Who reaches whom, and until when that stays so."""

    nodes: tuple[str, ...]
    lives: Mapping[str, Process]
    links: LinkTimes
    recut_s: tuple[float, ...]

    @staticmethod
    def of(history: History) -> "_Reach":
        links = LinkTimes(history)
        recut_s = []
        blocked: frozenset[tuple[str, str]] = frozenset()
        for one in links.entries:
            if one.blocked != blocked:
                blocked = one.blocked
                recut_s.append(one.at_s)
        return _Reach(history.nodes, processes(history), links, tuple(recut_s))

    def side_of(self, owner: str, at_s: float) -> list[str]:
        """The nodes that the owner reaches, by way of others or not."""
        sides = sides_of(self.nodes, self.links.at(at_s).blocked)
        return next((side for side in sides if owner in side), [])

    def ran(self, node: str, write: Operation, until_s: float) -> bool:
        """Whether a node ran from the write on."""
        return self.lives[node].ran(max(0.0, write.invoked_s), until_s)

    def next_recut_s(self, at_s: float, end_s: float) -> float:
        """When links are cut or mended next."""
        place = bisect_right(self.recut_s, at_s)
        return self.recut_s[place] if place < len(self.recut_s) else end_s


def coverage_of(history: History, arrivals: Arrivals) -> list[Coverage]:
    """How the followed writes spread, in the order in which they were acknowledged.

    A node that shows a later write of the same instance has this one behind it. Left out are writes
    of which one cannot tell: links or nodes changed, or it was removed, before all had it.
    """
    reach = _Reach.of(history)
    found = []
    for write, came, gone_s in _followed(history, arrivals):
        owner, at_s = write.node, write.completed_s
        full_s = at_s + COVER_S
        until_s = min(full_s, gone_s, reach.next_recut_s(at_s, history.end_s), history.end_s)
        others = [
            node
            for node in reach.side_of(owner, at_s)
            if node != owner
            and node not in history.villains
            and reach.ran(node, write, until_s)
            and arrivals.misses_nothing(node, write.invoked_s, until_s)
        ]
        took_s = sorted(
            round(max(0.0, came[node] - at_s), 6)
            for node in others
            if came.get(node, math.inf) <= until_s
        )
        is_told = len(took_s) == len(others) or until_s == full_s
        if others and is_told and reach.ran(owner, write, until_s):
            found.append(Coverage(round(at_s, 3), owner, tuple(took_s), len(others)))
    found.sort(key=lambda one: one.at_s)
    return found[:: max(1, -(-len(found) // COVERAGE_MAX))]


def _followed(
    history: History, arrivals: Arrivals
) -> Iterator[tuple[Operation, dict[str, float], float]]:
    """Acknowledged writes, when each node showed them or a later one, when they were removed."""
    by_key: dict[Key, list[Operation]] = {}
    for one in history.operations:
        if one.key is not None and one.outcome is not Outcome.FAILED:
            by_key.setdefault(one.key, []).append(one)
    for writes in by_key.values():
        came: dict[str, float] = {}
        gone_s = math.inf
        for one in sorted(writes, key=lambda one: -one.invoked_s):
            if one.action is Action.DEREGISTER:
                came, gone_s = {}, one.invoked_s
                continue
            for node, at_s in arrivals.by_number.get(one.number, {}).items():
                came[node] = min(at_s, came.get(node, math.inf))
            if one.outcome is Outcome.OK and not one.number % arrivals.stride:
                yield one, dict(came), gone_s
