"""The hands that faults lay on nodes' processes: started, ended, awaited, watched, and noted.

Faults that recur work on threads of their own, so a node may be in two hands: a rolling restart's,
and of a fault that heals meanwhile. Each node has a lock for that.

Rules this module keeps:

1. An end is noted before it is brought about, a beginning after: no node is judged by what it could
   not do.
2. Nothing is done twice: who is down is not ended, who runs is not started.
3. Who ends without a hand is noted while a fault lasts that may be the reason, and at no other
   time: then it is a failure of the node.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import ClusterError, Member, member_named
from chaos.history import Life

from .delay import DelayTable
from .egress import Egress
from .fault import FaultError, Stage
from .links import LinkTable
from .recurring import Recurring

READY_S = 60.0
POLL_S = 0.05
_KEY = "hands"


class _Hands:
    """What the hands of a stage share."""

    def __init__(self, stage: Stage) -> None:
        self.locks = {member.name: threading.RLock() for member in stage.cluster.members}
        self.down: set[str] = set()
        """Nodes whose end was noted."""

    @staticmethod
    def of(stage: Stage) -> "_Hands":
        found = stage.held.get(_KEY)
        if not isinstance(found, _Hands):
            found = stage.held[_KEY] = _Hands(stage)
        return found


def kill(stage: Stage, name: str) -> bool:
    """SIGKILL, and note it, if it runs; whether it did. Raises ClusterError."""
    return _end(stage, name, Life.CRASHED)


def stop(stage: Stage, name: str) -> bool:
    """SIGTERM, and note it, if it runs; whether it did. Raises ClusterError."""
    return _end(stage, name, Life.STOPPED)


def start(stage: Stage, name: str) -> None:
    """Start it, and note it; harmless if it runs. Raises ClusterError, FaultError."""
    member, hands = member_named(stage.cluster, name), _Hands.of(stage)
    with hands.locks[name]:
        if member.pid:
            return
        member.start()
        stage.notes.life(name, Life.STARTED)
        hands.down.discard(name)
    renew(stage, name)


def renew(stage: Stage, name: str) -> None:
    """Do to a node's network all that is to be done to it: it may be a new one. Raises FaultError.

    A container's network ends with its process, and all rules and queues in it.
    """
    LinkTable.of(stage).again(name)
    Egress.of(stage).again(member_named(stage.cluster, name))
    DelayTable.of(stage).again(name)


def holding(stage: Stage, name: str) -> "threading.RLock":
    """A lock: nobody else ends or starts that node meanwhile."""
    return _Hands.of(stage).locks[name]


def _end(stage: Stage, name: str, life: Life) -> bool:
    member, hands = member_named(stage.cluster, name), _Hands.of(stage)
    with hands.locks[name]:
        if not member.pid:
            return False
        hands.down.add(name)
        stage.notes.life(name, life)
        if life is Life.STOPPED:
            member.stop()
        else:
            member.kill()
        return True


class Ends:
    """Whom a fault has ended, and has to start again."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    def end(self, act: Callable[[Stage, str], bool], stage: Stage, name: str) -> None:
        """Kill or stop a node; remembered if it ran, also where it then failed."""
        with holding(stage, name):
            if member_named(stage.cluster, name).pid and name not in self.nodes:
                self.nodes.append(name)
            act(stage, name)

    def start(self, stage: Stage, name: str) -> None:
        """Start it again, if it was ended here."""
        if name in self.nodes:
            start(stage, name)
            self.nodes.remove(name)

    def start_all(self, stage: Stage) -> None:
        """Start all that were ended here. Raises FaultError after all were tried."""
        each(tuple(self.nodes), partial(self.start, stage))


def is_ready(member: Member) -> bool:
    """Whether it takes work."""
    try:
        return member.call("GET", "/readyz").status == 200
    except NoAnswerError:
        return False


def await_ready(stage: Stage, names: tuple[str, ...], is_over: Callable[[], bool]) -> None:
    """Wait until all take work, or it is over. Raises FaultError if they do not in time."""
    end = time.perf_counter() + READY_S
    for name in names:
        member = member_named(stage.cluster, name)
        while not is_ready(member) and not is_over():
            if time.perf_counter() > end:
                raise FaultError(f"{name} is not ready {READY_S:g} s after its start")
            time.sleep(POLL_S)


def each(nodes: Sequence[str], act: Callable[[str], None]) -> None:
    """Do it to each, also after it failed for one. Raises FaultError that names all failures."""
    failed = []
    for name in nodes:
        try:
            act(name)
        except (ClusterError, FaultError) as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise FaultError("; ".join(failed))


class Watch:
    """Notes which of these nodes end by themselves, from when it is made until `end`."""

    def __init__(self, stage: Stage, nodes: Sequence[str]) -> None:
        self._stage = stage
        self._nodes = [name for name in nodes if member_named(stage.cluster, name).pid]
        self._ended: list[str] = []
        self._going = Recurring(self._acts())
        self._going.start()

    def end(self) -> None:
        """Look once more, watch no longer, and start who has ended. Raises as `start`."""
        self._going.end()
        self._look()
        each(tuple(self._ended), partial(start, self._stage))

    def _acts(self) -> Iterator[float]:
        while True:
            self._look()
            yield POLL_S

    def _look(self) -> None:
        hands = _Hands.of(self._stage)
        for name in self._nodes:
            member = member_named(self._stage.cluster, name)
            with hands.locks[name]:
                if member.pid or name in hands.down:
                    continue
                hands.down.add(name)
                self._stage.notes.life(name, Life.CRASHED)
                self._ended.append(name)
            self._stage.notes.say(f"{name} has ended by itself")
