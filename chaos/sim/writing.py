"""What a simulated node's disk does, in time: writes, marks, and reading back.

    Persist ─▶ PERSIST_S ─▶ durable, with all before ─▶ persisted
    Store   ─▶ the log   ─▶ LINGER_S ─▶ durable
    Mark    ─▶ MARK_S    ─▶ what was stored before is durable ─▶ stored
    Recall  ─▶ READ_S    ─▶ recalled

Rules this module keeps:

1. The disk goes on while the process is frozen; what it has to say waits until the process runs.
2. What another life began is not finished.
3. A full disk makes everything wait, and loses nothing.
"""

from collections.abc import Callable
from typing import Protocol

from protocol.commits import Commit
from protocol.effects import Keep, Recall
from protocol.identity import NodeId

from .disk import LINGER_S, PERSIST_S, Disk
from .timeline import Timeline

DISK_RETRY_S = 1.0
MARK_S = 0.02
"""A mark has what was stored before written so much sooner."""
READ_S = 0.001


class Process(Protocol):
    """What of a node its disk has to do with."""

    id: NodeId
    disk: Disk
    up: bool
    life: int

    def crash(self) -> None:
        """End at once: a write failed."""
        ...

    def hurry(self, life: int, deed: Callable[[], None]) -> None:
        """Do something when the process gets to it."""
        ...


class Writing:
    """The disk of one node, at work. `face` 0 writes; what other faces write is not kept."""

    def __init__(self, process: Process, timeline: Timeline) -> None:
        self._process = process
        self._timeline = timeline

    def persist(self, face: int, keeps: tuple[Keep, ...], then: Callable[[], None]) -> None:
        """Make these durable, after all that was stored before."""
        self._persist(self._process.life, face, keeps, then)

    def store(self, keep: Keep) -> None:
        """Write soon."""
        disk = self._process.disk
        disk.append(keep, self._timeline.now)
        self._timeline.after(LINGER_S, self._flush, self._process.life, disk.length)

    def mark(self, then: Callable[[], None]) -> None:
        """Say when all that was stored before is durable."""
        life, length = self._process.life, self._process.disk.length
        self._timeline.after(MARK_S, self._marked, life, length, then)

    def recall(self, wanted: Recall, then: Callable[[tuple[Commit, ...]], None]) -> None:
        """Read commits of our own back."""
        self._timeline.after(READ_S, self._recalled, self._process.life, wanted, then)

    def _persist(
        self, life: int, face: int, keeps: tuple[Keep, ...], then: Callable[[], None]
    ) -> None:
        process, disk = self._process, self._process.disk
        if not self._runs(life):
            return
        if disk.failing:
            disk.failing = False
            process.crash()
        elif disk.full:
            self._timeline.after(DISK_RETRY_S, self._persist, life, face, keeps, then)
        else:
            self._timeline.after(PERSIST_S + disk.slow_s, self._written, life, face, keeps, then)

    def _written(
        self, life: int, face: int, keeps: tuple[Keep, ...], then: Callable[[], None]
    ) -> None:
        if not self._runs(life):
            return
        if face == 0:
            for keep in keeps:
                self._process.disk.append(keep, self._timeline.now)
            self._process.disk.flush()
        self._process.hurry(life, then)

    def _flush(self, life: int, upto: int) -> None:
        if not self._runs(life):
            return
        if self._process.disk.full:
            self._timeline.after(DISK_RETRY_S, self._flush, life, upto)
        else:
            self._process.disk.flush(upto)

    def _marked(self, life: int, upto: int, then: Callable[[], None]) -> None:
        if not self._runs(life):
            return
        if self._process.disk.full:
            self._timeline.after(DISK_RETRY_S, self._marked, life, upto, then)
        else:
            self._process.disk.flush(upto)
            self._process.hurry(life, then)

    def _recalled(
        self, life: int, wanted: Recall, then: Callable[[tuple[Commit, ...]], None]
    ) -> None:
        if self._runs(life):
            commits = self._process.disk.recall(self._process.id, wanted.after, wanted.count)
            self._process.hurry(life, lambda: then(commits))

    def _runs(self, life: int) -> bool:
        return self._process.up and self._process.life == life
