"""Many processes of one kind, their logs, and what each of them believes of the others.

The views are kept from the logs alone: no process is asked anything while something is measured.
Only children that were started here are signalled.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from node.cli.local_cluster import Child, end_all, is_free

from .facts import Applied, Believed, Fact, Named, Parse, Ready, Tail

NS_PER_S = 1_000_000_000
POLL_S = 0.01
"""Between two looks at the logs; the resolution of times read off a log without its own."""
STOP_GRACE_S = 10.0
REAP_WITHIN_S = 5.0
BLOCK_PORTS = 200
FIRST_PORTS = range(21_000, 31_000, BLOCK_PORTS)


class BenchError(Exception):
    """The run cannot go on; the message says what did not happen, and the end of the log."""


class Alarm(NamedTuple):
    """One was believed gone that had not been killed."""

    by: int
    """Whose belief it was."""
    name: str
    """Of whom."""
    after_s: float
    """How long after the fleet was made, which is when its first process starts."""


class Fleet:
    """Processes 0 … n-1; `commands[i]` starts the i-th, anew too after it was killed."""

    def __init__(
        self, names: Sequence[str], commands: Sequence[Sequence[str]], logs: Path, parse: Parse
    ) -> None:
        paths = [logs / f"{name}.log" for name in names]
        self._children = [
            Child(name, command, path)
            for name, command, path in zip(names, commands, paths, strict=True)
        ]
        self._tails = [Tail(path) for path in paths]
        self._parse = parse
        self.names = list(names)
        """What each is called by its peers; as given, until its log says otherwise."""
        self.alarms: list[Alarm] = []
        self._begun_ns = time.monotonic_ns()
        self._down: dict[int, None] = {}
        self._views: list[dict[str, Believed]] = [{} for _ in names]
        self._full_ns: list[int | None] = [None] * len(names)
        self.ready_ns = 0
        """When the last one that started had started."""
        self._applied: list[list[Applied]] = [[] for _ in names]

    def __len__(self) -> int:
        return len(self._children)

    def start(self, index: int) -> int:
        """Start one; the time just before, in ns.

        Raises:
            ClusterError: it cannot be started.
        """
        before_ns = time.monotonic_ns()
        self._down.pop(index, None)
        self._views[index] = {}
        self._full_ns[index] = None
        self._children[index].start()
        return before_ns

    def kill(self, index: int) -> int:
        """End one with -9 and reap it; the time just before, in ns."""
        self._down[index] = None
        before_ns = time.monotonic_ns()
        self._children[index].send(signal.SIGKILL)
        self._children[index].ended_by(time.monotonic() + REAP_WITHIN_S)
        return before_ns

    def stop(self) -> None:
        """End all, and wait for it."""
        try:
            end_all(self._children, STOP_GRACE_S)
        finally:
            for tail in self._tails:
                tail.close()

    def pids(self) -> list[int]:
        """Of those that run."""
        return [child.pid for child in self._children if child.pid]

    def others(self, index: int) -> list[int]:
        """All but one, and but those that were killed."""
        return [i for i in range(len(self)) if i != index and i not in self._down]

    def wait(self, happened: Callable[[], bool], within_s: float) -> bool:
        """Read logs until it is so; False if it is not within `within_s` seconds."""
        deadline = time.monotonic() + within_s
        while True:
            self.read()
            if happened():
                return True
            if time.monotonic() > deadline:
                return False
            self._check_running()
            time.sleep(POLL_S)

    def all_joined(self) -> bool:
        """Whether each that runs believes every other one alive."""
        return not self._down and all(at_ns is not None for at_ns in self._full_ns)

    def joined_ns(self) -> int:
        """When the last one came to believe so."""
        return max(at_ns or 0 for at_ns in self._full_ns)

    def missing(self) -> str:
        """Who does not see all the others, and how many it sees."""
        lacking = [i for i, at_ns in enumerate(self._full_ns) if at_ns is None]
        seen = [f"{self.names[i]} sees {self._alive_others(i)}" for i in lacking[:5]]
        return f"{len(lacking)} of {len(self)} lack some ({', '.join(seen)} …)"

    def gone_ns(self, victim: int) -> list[int]:
        """When each of the others came to believe that the victim is gone; those that did."""
        found = []
        for index in self.others(victim):
            belief = self._views[index].get(self.names[victim])
            if belief is not None and not belief.alive:
                found.append(belief.at_ns)
        return found

    def gone_for_all(self, victim: int) -> bool:
        """Whether each of the others believes that the victim is gone."""
        return len(self.gone_ns(victim)) == len(self.others(victim))

    def applied_ns(self, owner: int, version: int) -> list[int]:
        """When each of the others had applied the owner's commit; those that have."""
        found = []
        for index in self.others(owner):
            for one in self._applied[index]:
                if one.owner == self.names[owner] and one.version >= version:
                    found.append(one.at_ns)
                    break
        return found

    def forget_applied(self) -> None:
        """Drop what was applied so far, so that looking stays cheap."""
        self.read()
        for facts in self._applied:
            facts.clear()

    def read(self) -> None:
        """Take in what the logs say since the last time."""
        for index, tail in enumerate(self._tails):
            lines = tail.lines()
            read_ns = time.monotonic_ns()
            for line in lines:
                for fact in self._parse(line, read_ns):
                    self._take(index, fact)

    def _take(self, index: int, fact: Fact) -> None:
        match fact:
            case Named(name):
                self.names[index] = name
            case Ready(at_ns):
                self.ready_ns = max(self.ready_ns, at_ns)
            case Applied():
                self._applied[index].append(fact)
            case Believed(name, alive, at_ns):
                before = self._views[index].get(name)
                if before is None or before.alive != alive:
                    self._views[index][name] = fact
                    self._note(index, fact)
                full = self._alive_others(index) >= len(self) - 1
                if not full:
                    self._full_ns[index] = None
                elif self._full_ns[index] is None:
                    self._full_ns[index] = at_ns

    def _note(self, index: int, belief: Believed) -> None:
        killed = any(self.names[victim] == belief.name for victim in self._down)
        if not belief.alive and not killed and index not in self._down:
            after_s = (belief.at_ns - self._begun_ns) / NS_PER_S
            self.alarms.append(Alarm(index, belief.name, after_s))

    def _alive_others(self, index: int) -> int:
        view, own = self._views[index], self.names[index]
        return sum(belief.alive for name, belief in view.items() if name != own)

    def _check_running(self) -> None:
        for index, child in enumerate(self._children):
            if child.fallen is not None and index not in self._down:
                raise BenchError(str(child.fallen))


def free_block(count: int) -> int:
    """The first of `BLOCK_PORTS` ports of which those used for `count` processes are free now.

    Processes look from different places, so that two runs at once do not take the same block
    between finding it free and using it.

    The i-th process uses first + i, and first + `BLOCK_PORTS` / 2 + i.

    Raises:
        BenchError: there is no such block.
    """
    for number in range(len(FIRST_PORTS)):
        first = FIRST_PORTS[(os.getpid() + number) % len(FIRST_PORTS)]
        used = [first + half + i for half in (0, BLOCK_PORTS // 2) for i in range(count)]
        if all(is_free(port) for port in used):
            return first
    raise BenchError(f"no {2 * count} free ports between {FIRST_PORTS[0]} and {FIRST_PORTS[-1]}")
