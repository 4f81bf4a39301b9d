"""Clients: they register, update, deregister and look up at random nodes, and say how it ended.

Every write leaves the number of its operation in the record, so a lookup tells whose write it saw.
A client waits for each write up to a bound, then goes on and calls it indefinite. As the API does,
it is refused where it deregisters what the node does not know (any more, after an old disk).
"""

from dataclasses import dataclass
from random import Random

from chaos.history import Action, Key, Operation, Outcome
from chaos.sim.node import SimNode
from chaos.sim.recorder import instances
from chaos.sim.world import World
from protocol.bodies import Body, key_of
from protocol.commits import RecordKey
from protocol.records import ServiceRecord

SERVICES = ("web", "api", "db", "cache", "mail", "search")
TIMEOUT_S = 3.0
"""How long a client waits for a write."""
KEYS_MAX = 400
"""Instances that the clients keep up at most; above it they deregister."""


@dataclass(slots=True)
class _Write:
    number: int
    action: Action
    node: SimNode
    key: Key
    invoked_s: float
    done: bool = False


class Workload:
    """All clients of a world. Writes go to honest nodes only, lookups too."""

    def __init__(self, world: World, rng: Random, honest: list[SimNode]) -> None:
        self.writing = True
        """Whether clients still write; when not, they only look up."""
        self.looking = True
        self._world = world
        self._rng = rng
        self._honest = honest
        self._number = 0
        self._up: list[tuple[SimNode, Key]] = []
        self._busy: dict[Key, None] = {}

    def begin(self) -> None:
        """Let every client act, now and then, until told otherwise."""
        for _ in range(self._world.plan.clients):
            self._world.timeline.after(self._wait_s(), self._act)

    def _wait_s(self) -> float:
        plan = self._world.plan
        return self._rng.expovariate(plan.operations_per_s / plan.clients)

    def _act(self) -> None:
        if not self.looking:
            return
        draw = self._rng.random()
        if not self.writing or draw < 0.3:
            self._look_up()
        elif draw < 0.6 and len(self._up) < KEYS_MAX:
            self._register()
        elif self._up and draw < 0.82:
            self._change(Action.UPDATE)
        elif self._up:
            self._change(Action.DEREGISTER)
        else:
            self._register()
        self._world.timeline.after(self._wait_s(), self._act)

    def _register(self) -> None:
        node = self._rng.choice(self._honest)
        name = self._rng.choice(SERVICES)
        key = Key(node.name, name, f"{name}-{self._number + 1}")
        self._up.append((node, key))
        self._write(Action.REGISTER, node, key)

    def _change(self, action: Action) -> None:
        place = self._rng.randrange(len(self._up))
        node, key = self._up[place]
        if key in self._busy:
            return
        if action is Action.DEREGISTER:
            del self._up[place]
        self._write(action, node, key)

    def _write(self, action: Action, node: SimNode, key: Key) -> None:
        self._number += 1
        write = _Write(self._number, action, node, key, self._world.timeline.now)
        body = ServiceRecord(
            name=key.name,
            id=key.id,
            address=node.address.host,
            port=8000,
            version=str(write.number),
        )
        changes: dict[RecordKey, Body | None] = {
            key_of(body): None if action is Action.DEREGISTER else body
        }
        self._busy[key] = None
        text = f"{action.value} #{write.number} {key}"
        self._world.trace.note(self._world.timeline.now, node.name, text)
        self._world.timeline.after(TIMEOUT_S, self._end, write, Outcome.INDEFINITE)
        serves = node.up and not node.paused and node.peer.ready
        if action is Action.DEREGISTER and serves and node.peer.intended(key_of(body)) is None:
            self._end(write, Outcome.FAILED)
        else:
            node.submit(changes, lambda outcome: self._end(write, outcome))

    def _end(self, write: _Write, outcome: Outcome) -> None:
        if write.done:
            return
        write.done = True
        self._busy.pop(write.key, None)
        now = self._world.timeline.now
        self._world.history.operations.append(
            Operation(
                write.number,
                write.action,
                write.node.name,
                write.invoked_s,
                now,
                outcome,
                key=write.key,
            )
        )

    def _look_up(self) -> None:
        self._number += 1
        node = self._rng.choice(self._honest)
        name = self._rng.choice(SERVICES)
        now = self._world.timeline.now
        names = self._world.recorder.names
        seen: tuple[tuple[Key, int], ...] = ()
        outcome = Outcome.FAILED
        if node.up and not node.paused and node.peer.ready:
            outcome = Outcome.OK
            seen = tuple(instances(node.peer.registry, name, names))
        self._world.history.operations.append(
            Operation(
                self._number, Action.LOOKUP, node.name, now, now, outcome, name=name, seen=seen
            )
        )
