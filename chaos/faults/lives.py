"""Nodes that end, freeze, come back, and come back with another disk.

    kill           SIGKILL; healed by starting them again
    stop           SIGTERM: they say that they stop; healed by starting them again
    pause          SIGSTOP; healed by SIGCONT
    restart        SIGTERM and a start, one node after another with `rolling`
    crash-storm    drawn nodes are killed and come back, over and over
    start          nodes that were left out at the beginning
    wipe           killed, all data removed, started: a new node of the same name
    old-snapshot   killed and started with a copy of its data from when the fault began

What became of a process is noted at once, for checkers excuse a node by that.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos.cluster.cluster import Ability, member_named
from chaos.history import Life

from .fault import FaultError, FaultKind, Stage, Table, nobody
from .fields import Fields
from .hands import POLL_S, Ends, await_ready, each, holding, kill, start, stop
from .recurring import RecurringFault

PERIOD_MAX_S = 3_600.0
_PROCESSES = frozenset({Ability.PROCESSES})
_DISKS = frozenset({Ability.PROCESSES, Ability.DISKS})
_NODES = "names of nodes"
LOCK = "lock"
"""In a data directory; it belongs to the process, not to the data."""


@dataclass(slots=True, eq=False)
class Ended:
    """Nodes that end together, and are started again when it is healed."""

    nodes: tuple[str, ...]
    act: Callable[[Stage, str], bool]
    text: str
    _ends: Ends = field(default_factory=Ends, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(self.text)
        each(self.nodes, partial(self._ends.end, self.act, stage))

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        self._ends.start_all(stage)


@dataclass(slots=True, eq=False)
class Paused:
    """Frozen nodes."""

    nodes: tuple[str, ...]

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"frozen: {' '.join(self.nodes)}")
        for name in self.nodes:
            member = member_named(stage.cluster, name)
            with holding(stage, name):
                if member.pid and not member.is_paused:
                    stage.notes.life(name, Life.PAUSED)
                    member.pause()

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        for name in self.nodes:
            member = member_named(stage.cluster, name)
            with holding(stage, name):
                if member.is_paused:
                    member.resume()
                    stage.notes.life(name, Life.RESUMED)


@dataclass(slots=True, eq=False)
class Restarted(RecurringFault):
    """Nodes that are ended by SIGTERM and started again.

    Healed: one that is under way is finished; nodes whose turn did not come stay.
    """

    nodes: tuple[str, ...]
    rolling: bool
    gap_s: float
    _ends: Ends = field(default_factory=Ends, init=False)

    def acts(self, stage: Stage) -> Iterator[float]:
        """A batch after the other."""
        for batch in [(name,) for name in self.nodes] if self.rolling else [self.nodes]:
            stage.notes.say(f"restarting {' '.join(batch)}")
            each(batch, partial(self._ends.end, stop, stage))
            each(batch, partial(self._ends.start, stage))
            await_ready(stage, batch, lambda: self.is_over)
            yield self.gap_s

    def undo(self, stage: Stage) -> None:
        """Start who is down."""
        self._ends.start_all(stage)


@dataclass(slots=True, eq=False)
class CrashStorm(RecurringFault):
    """Drawn nodes are killed, and started again some seconds later."""

    nodes: tuple[str, ...]
    every_s: float
    down_s: float
    most: int
    _ends: Ends = field(default_factory=Ends, init=False)

    def acts(self, stage: Stage) -> Iterator[float]:
        """Kill one or start one, whatever is due."""
        down: dict[str, float] = {}
        kill_at_s = now_s = time.perf_counter()
        while True:
            for name in [name for name, until_s in down.items() if until_s <= now_s]:
                stage.notes.say(f"{name} is started again")
                self._ends.start(stage, name)
                del down[name]
            up = [one for one in self.nodes if member_named(stage.cluster, one).pid]
            if now_s >= kill_at_s and up and len(down) < self.most:
                name = stage.rng.choice(up)
                stage.notes.say(f"{name} is killed")
                self._ends.end(kill, stage, name)
                down[name] = now_s + self.down_s
                kill_at_s = now_s + self.every_s
            due_s = min([*down.values(), max(kill_at_s, now_s + POLL_S)])
            yield max(due_s - now_s, POLL_S)
            now_s = time.perf_counter()

    def undo(self, stage: Stage) -> None:
        """Start who is down."""
        self._ends.start_all(stage)


@dataclass(slots=True, eq=False)
class Started:
    """Nodes that join; they stay."""

    nodes: tuple[str, ...]

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"started: {' '.join(self.nodes)}")
        each(self.nodes, partial(start, stage))

    def heal(self, stage: Stage) -> None:
        """See `Fault`. A node that has joined is no fault."""


@dataclass(slots=True, eq=False)
class Wiped:
    """Nodes that lose their disks."""

    nodes: tuple[str, ...]
    _lost: list[str] = field(default_factory=list, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        for name in self.nodes:
            stage.notes.say(f"{name} loses its disk")
            with holding(stage, name):
                self._lost.append(name)
                kill(stage, name)
                stage.notes.life(name, Life.DAMAGED)
                _empty(member_named(stage.cluster, name).data_dir)
                start(stage, name)

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        each(self._lost, partial(start, stage))


@dataclass(slots=True, eq=False)
class OldSnapshot:
    """Nodes that come back with the data of when the fault began."""

    nodes: tuple[str, ...]
    _copies: dict[str, Path] = field(default_factory=dict)

    def inject(self, stage: Stage) -> None:
        """See `Fault`. A copy is taken while the node does not run, so it is one that could be."""
        for name in self.nodes:
            stage.notes.say(f"a copy of {name}'s disk is taken")
            member = member_named(stage.cluster, name)
            copy = stage.cluster.directory / f"{name}.snapshot"
            with holding(stage, name):
                ran = stop(stage, name)
                try:
                    _copy(member.data_dir, copy)
                    self._copies[name] = copy
                finally:
                    if ran:
                        start(stage, name)

    def heal(self, stage: Stage) -> None:
        """See `Fault`. The old disk comes back here: what follows is the healing of that."""
        for name in list(self._copies):
            stage.notes.say(f"{name} comes back with its old disk")
            member = member_named(stage.cluster, name)
            with holding(stage, name):
                kill(stage, name)
                stage.notes.life(name, Life.DAMAGED)
                _empty(member.data_dir)
                _copy(self._copies[name], member.data_dir)
                start(stage, name)
            del self._copies[name]


def _empty(directory: Path) -> None:
    try:
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise FaultError(f"{directory} cannot be emptied: {error}") from None


def _copy(source: Path, target: Path) -> None:
    """All files of a directory with their owners and modes, into one that may be there."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if path.is_file() and path.name != LOCK:
                copied = target / path.name
                shutil.copy2(path, copied)
                shutil.chown(copied, path.stat().st_uid, path.stat().st_gid)
    except OSError as error:
        raise FaultError(f"{source} cannot be copied: {error}") from None


def _nodes_of(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names)
    fields.end()
    return nodes


def _read_kill(table: Table, names: tuple[str, ...]) -> Ended:
    nodes = _nodes_of(table, names)
    return Ended(nodes, kill, f"killed: {' '.join(nodes)}")


def _read_stop(table: Table, names: tuple[str, ...]) -> Ended:
    nodes = _nodes_of(table, names)
    return Ended(nodes, stop, f"stopped: {' '.join(nodes)}")


def _read_restart(table: Table, names: tuple[str, ...]) -> Restarted:
    fields = Fields(table)
    restarted = Restarted(
        nodes=fields.nodes("nodes", names),
        rolling=fields.flag("rolling", default=False),
        gap_s=fields.seconds("gap", 1.0, PERIOD_MAX_S),
    )
    fields.end()
    return restarted


def _read_storm(table: Table, names: tuple[str, ...]) -> CrashStorm:
    fields = Fields(table)
    storm = CrashStorm(
        nodes=fields.nodes("nodes", names, names),
        every_s=fields.seconds("every", 4.0, PERIOD_MAX_S),
        down_s=fields.seconds("down", 4.0, PERIOD_MAX_S),
        most=fields.whole("most", 1, 1, len(names)),
    )
    fields.end()
    return storm


def _storm_victims(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return names[: Fields(table).whole("most", 1, 1, len(names))]


def _first(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names)
    return nodes[:1] if fields.flag("rolling", default=False) else nodes


def _named(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return Fields(table).nodes("nodes", names)


LIVES = (
    FaultKind(
        name="kill", summary="SIGKILL; started again when it is healed", needs=_PROCESSES,
        fields={"nodes": _NODES}, read=_read_kill, victims=_named,
    ),
    FaultKind(
        name="stop", summary="SIGTERM; started again when it is healed", needs=_PROCESSES,
        fields={"nodes": _NODES}, read=_read_stop, victims=_named,
    ),
    FaultKind(
        name="pause", summary="SIGSTOP; SIGCONT when it is healed", needs=_PROCESSES,
        fields={"nodes": _NODES},
        read=lambda table, names: Paused(_nodes_of(table, names)), victims=_named,
    ),
    FaultKind(
        name="restart", summary="SIGTERM and a start", needs=_PROCESSES,
        fields={
            "nodes": _NODES,
            "rolling": "one after another, each awaited until it is ready; false: all at once",
            "gap": 'between two of them, "1s"',
        },
        read=_read_restart, victims=_first,
    ),
    FaultKind(
        name="crash-storm", summary="drawn nodes are killed and come back, over and over",
        needs=_PROCESSES,
        fields={
            "nodes": f"{_NODES} to draw from; all",
            "every": 'between two kills, "4s"',
            "down": 'how long each is down, "4s"',
            "most": "how many are down at once at most; 1",
        },
        read=_read_storm, victims=_storm_victims,
    ),
    FaultKind(
        name="start", summary="nodes join that were left out at first", needs=_PROCESSES,
        fields={"nodes": _NODES},
        read=lambda table, names: Started(_nodes_of(table, names)), victims=nobody,
    ),
    FaultKind(
        name="wipe", summary="nodes lose their disks and start anew", needs=_DISKS,
        fields={"nodes": _NODES},
        read=lambda table, names: Wiped(_nodes_of(table, names)), victims=_named,
    ),
    FaultKind(
        name="old-snapshot",
        summary="a copy of the data is taken at first, and put back when it is healed",
        needs=_DISKS,
        fields={"nodes": _NODES},
        read=lambda table, names: OldSnapshot(_nodes_of(table, names)), victims=_named,
    ),
)  # fmt: skip
