"""How a new commit reaches everybody: pushed at once along the rings, advertised against loss.

Who sees a commit for the first time, and has verified it, pushes it to the successors on four
rings. Each ring is a cycle, so without loss everyone is reached in about log4(n) hops (compare
Rapid, USENIX ATC 2018, section 4, and Plumtree, SRDS 2007). A short advert follows to the same
members 100 ms later; who lacks what it names asks for it. Above 20 commits a second the push goes
along one ring, coalesced for 5 ms, and the others get the advert at once.

Rules this module keeps:

1. A commit is pushed by each node once; what does not fit a datagram is only advertised.
2. Every table is bounded; what falls out is found by repair.
3. Nothing is asked for twice within `WANT_AGAIN_S`, whoever advertises it, but over a stream after
   it was asked for in vain by a datagram.
"""

import hashlib
import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .commits import NOTHING, Commit, Dot, Head
from .identity import NodeId
from .wire import codec
from .wire.messages import BODY_MAX, Advert, Advertised, Message, Push, Want

EAGER_PER_S = 20
"""Commits a second up to which each is pushed on all rings."""
COALESCE_S = 0.005
ADVERT_DELAY_S = 0.1
WANT_AGAIN_S = 0.2
AGAIN_MAX = 512
"""Messages that wait to be told again."""
_PENDING_MAX = 4_096
"""Commits waiting to be pushed or advertised."""
_ECHOES_MAX = 1_024
_ADVERT_ITEMS = 12
"""Adverts in one datagram: 12 × about 85 bytes."""
_PUSH_ROOM = BODY_MAX - 16
_NEVER_WANTED = (NOTHING, 0.0, False)


@dataclass(frozen=True, slots=True)
class Told:
    """A message for several members."""

    to: tuple[NodeId, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class _Item:
    commit: Commit
    inception: bytes
    targets: tuple[NodeId, ...]
    size: int


class Echoes:
    """The pushes of late, by hash: one commit comes along four rings in the very same bytes.

    Whoever hears an echo is spared the reading of it. Bounded; what falls out is read again.
    """

    def __init__(self) -> None:
        self._heard: dict[bytes, None] = {}

    def hears(self, body: bytes) -> bool:
        """Whether these bytes came before; remembers them."""
        key = hashlib.blake2b(body, digest_size=16).digest()
        if key in self._heard:
            return True
        if len(self._heard) >= _ECHOES_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[key] = None
        return False


class Again:
    """Short messages that are told again some times against loss, since nothing asks for them."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Told]] = []
        self._sequence = 0

    @property
    def next_deadline(self) -> float:
        """When `due` has something to say; infinity if never."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def add(self, told: Told, after_s: Iterable[float], *, now: float) -> None:
        """Tell it again after these times; not where too much waits already."""
        for wait_s in after_s if len(self._waiting) < AGAIN_MAX else ():
            self._sequence += 1
            heapq.heappush(self._waiting, (now + wait_s, self._sequence, told))

    def due(self, *, now: float) -> list[Told]:
        """What is to be told again by now."""
        told: list[Told] = []
        while self._waiting and self._waiting[0][0] <= now:
            told.append(heapq.heappop(self._waiting)[2])
        return told


class Dissemination:
    """What is to be passed on, and to whom. Pure: members in, messages out."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=EAGER_PER_S + 1)
        self._pushes: deque[_Item] = deque()
        self._push_at: float | None = None
        self._adverts: list[tuple[float, int, tuple[NodeId, ...], Advertised]] = []
        self._sequence = 0
        self._wanted: dict[NodeId, tuple[Dot, float, bool]] = {}
        """Of each owner what was asked for, when, and whether over a stream."""

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do; infinity if never."""
        deadline = self._push_at if self._push_at is not None else float("inf")
        return min(deadline, self._adverts[0][0]) if self._adverts else deadline

    def fresh(
        self, commit: Commit, inception: bytes, targets: tuple[NodeId, ...], *, now: float
    ) -> list[Told]:
        """Pass on a commit that we see for the first time, to members that may lack it.

        Args:
            commit: verified and applied.
            inception: its owner's key event if the receivers may not know it, else nothing.
            targets: the successors on the rings, the first ring first, without the sender.
            now: monotonic seconds.
        """
        if not targets:
            return []
        self._recent.append(now)
        busy = len(self._recent) > EAGER_PER_S and now - self._recent[0] < 1.0
        size = len(commit.changes_encoded) + len(commit.head.encoded) + 80 + len(inception)
        if size > _PUSH_ROOM:
            self._advertise(commit.head, targets, at=now, large=True)
            return self.tick(now=now)
        if not busy:
            self._advertise(commit.head, targets, at=now + ADVERT_DELAY_S, large=False)
            return [Told(targets, Push((commit,), (inception,) if inception else ()))]
        if len(self._pushes) < _PENDING_MAX:
            self._pushes.append(_Item(commit, inception, targets[:1], size))
        self._advertise(commit.head, targets[1:], at=now + COALESCE_S, large=False)
        if self._push_at is None:
            self._push_at = now + COALESCE_S
        return []

    def advertise(
        self, head: Head, targets: tuple[NodeId, ...], *, now: float, large: bool
    ) -> None:
        """Say at the next tick that we hold this head; `large`: it has to be fetched."""
        self._advertise(head, targets, at=now, large=large)

    def wants(self, advert: Advertised, ours: Dot, *, now: float) -> bool:
        """Whether to ask for what was advertised; remembers that it was asked for."""
        if advert.dot <= ours:
            return False
        dot, at_s, fetched = self._wanted.get(advert.owner, _NEVER_WANTED)
        if dot >= advert.dot and now < at_s + WANT_AGAIN_S and (fetched or not advert.large):
            return False
        if len(self._wanted) >= _PENDING_MAX:
            self._wanted.clear()
        self._wanted[advert.owner] = (advert.dot, now, advert.large)
        return True

    def got(self, owner: NodeId) -> None:
        """What was asked for has come, or something newer."""
        self._wanted.pop(owner, None)

    def tick(self, *, now: float) -> list[Told]:
        """Everything that is due."""
        told: list[Told] = []
        if now < self.next_deadline:
            return told
        if self._push_at is not None and now >= self._push_at:
            told += self._flush()
        told += self._flush_adverts(now)
        return told

    def _advertise(
        self, head: Head, targets: tuple[NodeId, ...], *, at: float, large: bool
    ) -> None:
        if not targets or len(self._adverts) >= _PENDING_MAX:
            return
        item = Advertised(head.owner, head.dot, head.hash, large)
        self._sequence += 1
        heapq.heappush(self._adverts, (at, self._sequence, targets, item))

    def _flush(self) -> list[Told]:
        self._push_at = None
        told: list[Told] = []
        batches: dict[tuple[NodeId, ...], list[_Item]] = {}
        while self._pushes:
            item = self._pushes.popleft()
            batch = batches.setdefault(item.targets, [])
            if sum(one.size for one in batch) + item.size > _PUSH_ROOM:
                told.append(_push(item.targets, batch))
                batches[item.targets] = batch = []
            batch.append(item)
        told += [_push(targets, batch) for targets, batch in batches.items() if batch]
        return told

    def _flush_adverts(self, now: float) -> list[Told]:
        due: dict[NodeId, dict[NodeId, Advertised]] = {}
        while self._adverts and self._adverts[0][0] <= now:
            _, _, targets, item = heapq.heappop(self._adverts)
            for target in targets:
                newest = due.setdefault(target, {})
                before = newest.get(item.owner)
                if before is None or before.dot < item.dot:
                    newest[item.owner] = item
        told: list[Told] = []
        for target, newest in due.items():
            items = tuple(newest.values())
            if told and told[-1].message == Advert(items):  # written once for all its receivers
                told[-1] = Told((*told[-1].to, target), told[-1].message)
                continue
            told.extend(
                Told((target,), Advert(items[start : start + _ADVERT_ITEMS]))
                for start in range(0, len(items), _ADVERT_ITEMS)
            )
        return told


def pushes_of(commits: Iterable[Commit], inception: bytes) -> list[Message]:
    """The datagrams that answer a `Want`; what does not fit is left to a stream."""
    messages: list[Message] = []
    batch: list[Commit] = []
    room = _PUSH_ROOM - len(inception)
    for commit in commits:
        size = len(codec.pack([commit.pack()]))
        if size > _PUSH_ROOM - len(inception):
            break
        if size > room:
            messages.append(Push(tuple(batch), (inception,) if inception else ()))
            batch, room = [], _PUSH_ROOM - len(inception)
        batch.append(commit)
        room -= size
    if batch:
        messages.append(Push(tuple(batch), (inception,) if inception else ()))
    return messages


def want_of(owner: NodeId, known: bytes) -> Want:
    """Asks for one owner's commits after `known`."""
    return Want(((owner, known),))


def _push(targets: tuple[NodeId, ...], batch: list[_Item]) -> Told:
    events = tuple(item.inception for item in batch if item.inception)
    return Told(targets, Push(tuple(item.commit for item in batch), events))
