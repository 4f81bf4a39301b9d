"""What goes wrong, and how it is healed: one pair of functions for each kind of fault.

Rules this module keeps:

1. Every fault can be healed, in any order, and then nothing of it is left.
2. Faults add up: a node that two faults hold down starts when both are healed.
3. What checkers must know to be fair (who is up, which links carry) goes into the history.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol, TypeAlias

from chaos.history import Life
from protocol.detector.partition import Partition
from protocol.errors import ProposalError
from protocol.peer import Peer

from .network import Pair
from .node import STOP_S, SimNode
from .plan import Fault, FaultKind
from .world import World

HICCUP_PAUSE_S = 2.5
"""Between two freezes of one node, on average."""
STARVED_S = 0.005
"""A node whose steps take longer than this falls behind where 100 datagrams a second come in."""
ROTATE_AGAIN_S = 0.5
"""Between two tries to rotate a key where it is refused."""
SWIZZLE_STEP_S = 0.5
"""Between two links of a swizzle."""

_Act: TypeAlias = Callable[["Injector", Fault], None]


class Injector:
    """Injects and heals faults in one world."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.active: list[Fault] = []
        """In the order in which they began."""
        self.down: dict[int, int] = {}
        """How many faults hold each node down."""
        self._swizzled: dict[Fault, list[list[Pair]]] = {}
        self._mending: list[list[Pair]] = []
        self._healing_all = False

    def inject(self, fault: Fault) -> None:
        """Let it go wrong."""
        self.active.append(fault)
        self._note(fault, "begins")
        _ACTS[fault.kind][0](self, fault)

    def heal(self, fault: Fault) -> None:
        """Put it right; nothing happens if it is."""
        if fault in self.active:
            self.active.remove(fault)
            self._note(fault, "healed")
            _ACTS[fault.kind][1](self, fault)

    def heal_all(self) -> None:
        """Put everything right, the newest first."""
        self._healing_all = True
        for fault in reversed(list(self.active)):
            self.heal(fault)
        for pairs in list(self._mending):
            self._unswizzle_one(pairs)
        self._healing_all = False

    def lose(self, node: SimNode) -> None:
        """Take a node down for good."""
        self.down[node.number] = self.down.get(node.number, 0) + 1
        node.crash()

    def nodes(self, fault: Fault) -> list[SimNode]:
        """Whom it concerns."""
        return [self.world.nodes[number] for number in fault.nodes]

    def take_down(self, fault: Fault) -> None:
        """Crash all of them, or keep those down that are."""
        for node in self.nodes(fault):
            self.down[node.number] = self.down.get(node.number, 0) + 1
            node.crash()

    def bring_up(self, fault: Fault) -> None:
        """Start those whom no other fault holds down."""
        for node in self.nodes(fault):
            self.down[node.number] -= 1
        self.start_if_free(fault)

    def start_if_free(self, fault: Fault) -> None:
        """Start those of them that are down though no fault holds them."""
        for node in self.nodes(fault):
            if not self.down[node.number] and not node.up:
                node.start()

    def amounts(self, kind: FaultKind, node: SimNode) -> list[float]:
        """How much of such a fault each one at work does to a node."""
        return [
            fault.amount
            for fault in self.active
            if fault.kind is kind and node.number in fault.nodes
        ]

    def damaged(self, node: SimNode) -> None:
        """Say that a disk is not what it was."""
        self.world.recorder.lived(node.name, Life.DAMAGED)

    def cut(self, pairs: Iterable[Pair]) -> None:
        """Cut links."""
        self.world.network.block(pairs)
        self.links_changed()

    def mend(self, pairs: Iterable[Pair]) -> None:
        """Mend links."""
        self.world.network.unblock(pairs)
        self.links_changed()

    def links_changed(self) -> None:
        """Write into the history how the links are."""
        network = self.world.network
        late = bool(network.weather.reorder) or any(node.slow_s for node in self.world.nodes)
        self.world.recorder.links(
            network.blocked(), loss=network.loss, hard=network.hard, late=late
        )

    def _note(self, fault: Fault, what: str) -> None:
        whom = ",".join(str(number) for number in fault.nodes)
        groups = "|".join(",".join(str(number) for number in group) for group in fault.groups)
        text = f"{fault.kind.value} {what} {whom}{groups} {fault.amount:g}"
        self.world.trace.note(self.world.timeline.now, "fault", text)

    # Faults that take their time

    def swizzle(self, fault: Fault) -> None:
        """Stop the links of the nodes one node at a time."""
        others = range(len(self.world.nodes))
        self._swizzled[fault] = []
        for step, number in enumerate(fault.nodes):
            pairs = _both([number], [other for other in others if other != number])
            self.world.timeline.after(step * SWIZZLE_STEP_S, self._swizzle_one, fault, pairs)

    def unswizzle(self, fault: Fault) -> None:
        """Restore what was stopped in another order, one at a time, or all if all is healed."""
        stopped = self._swizzled.pop(fault)
        self.rng.shuffle(stopped)
        for step, pairs in enumerate(stopped):
            if self._healing_all:
                self.mend(pairs)
            else:
                at_s = self.world.timeline.now + step * SWIZZLE_STEP_S
                self._mending.append(pairs)
                self.world.timeline.at(at_s, self._unswizzle_one, pairs)

    def _unswizzle_one(self, pairs: list[Pair]) -> None:
        if pairs in self._mending:
            self._mending.remove(pairs)
            self.mend(pairs)

    def _swizzle_one(self, fault: Fault, pairs: list[Pair]) -> None:
        if fault in self._swizzled:
            self._swizzled[fault].append(pairs)
            self.cut(pairs)

    def hiccup(self, fault: Fault, node: SimNode) -> None:
        """Freeze a node for a moment, again and again while the fault lasts."""
        if fault not in self.active:
            return
        node.pause()
        self.world.timeline.after(fault.amount, node.resume)
        wait = fault.amount + HICCUP_PAUSE_S * self.rng.uniform(0.5, 1.5)
        self.world.timeline.after(wait, self.hiccup, fault, node)

    def rotate_soon(self, fault: Fault, node: SimNode) -> None:
        """Rotate a node's key, now or at the next try, while the fault lasts."""
        if fault in self.active and not rotate(node):
            self.world.timeline.after(ROTATE_AGAIN_S, self.rotate_soon, fault, node)


def pairs_of(fault: Fault, nodes: int) -> list[Pair]:
    """The directed links that a partition cuts."""
    match fault.kind:
        case FaultKind.SPLIT:
            pairs = []
            for place, group in enumerate(fault.groups):
                for other in fault.groups[place + 1 :]:
                    pairs += _both(group, other)
            return pairs
        case FaultKind.ONE_WAY:
            return [(a, b) for a in fault.groups[0] for b in fault.groups[1]]
        case FaultKind.RING:
            reach = max(1, (nodes // 2 + 1) // 2)
            return [
                (a, b)
                for a in range(nodes)
                for b in range(nodes)
                if min((a - b) % nodes, (b - a) % nodes) > reach
            ]
        case FaultKind.BRIDGE:
            rest = [number for number in range(nodes) if number not in fault.nodes]
            half = len(rest) // 2
            return _both(rest[:half], rest[half:])
        case FaultKind.ISOLATE:
            pairs = []
            for place, number in enumerate(fault.nodes):
                met = fault.nodes[:place]
                pairs += _both([number], [n for n in range(nodes) if n != number and n not in met])
            return pairs
        case _:
            raise ValueError(f"{fault.kind.value} cuts no links")


def _both(ours: Sequence[int], theirs: Sequence[int]) -> list[Pair]:
    return [pair for a in ours for b in theirs for pair in ((a, b), (b, a))]


def _cut(injector: Injector, fault: Fault) -> None:
    injector.cut(pairs_of(fault, len(injector.world.nodes)))


def _mend(injector: Injector, fault: Fault) -> None:
    injector.mend(pairs_of(fault, len(injector.world.nodes)))


def _weather(injector: Injector, fault: Fault, *, heal: bool) -> None:
    weather = injector.world.network.weather
    amounts = {
        FaultKind.LOSS: weather.loss,
        FaultKind.DUPLICATE: weather.duplicate,
        FaultKind.REORDER: weather.reorder,
        FaultKind.REPLAY: weather.replay,
    }[fault.kind]
    if heal:
        amounts.remove(fault.amount)
    else:
        amounts.append(fault.amount)
    injector.world.network.weigh_loss()
    injector.links_changed()


def _hamper(injector: Injector, fault: Fault, *, heal: bool) -> None:
    network = injector.world.network
    for number in fault.nodes:
        match fault.kind:
            case FaultKind.DELAY:
                network.delay(number, fault.amount, heal=heal)
            case FaultKind.BANDWIDTH:
                network.narrow(number, fault.amount, heal=heal)
            case _:
                network.unclog(number) if heal else network.clog(number)
    injector.links_changed()


def _wipe(injector: Injector, fault: Fault) -> None:
    injector.take_down(fault)
    for node in injector.nodes(fault):
        node.disk.wipe()
        injector.damaged(node)


def _old_disk(injector: Injector, fault: Fault) -> None:
    injector.take_down(fault)
    for node in injector.nodes(fault):
        node.disk.put_back(injector.world.timeline.now - fault.amount)
        injector.damaged(node)


def _power_loss(injector: Injector, fault: Fault) -> None:
    injector.take_down(fault)
    for node in injector.nodes(fault):
        node.disk.lose_unflushed()


def _stop(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        injector.down[node.number] = injector.down.get(node.number, 0) + 1
        node.stop()


def _return(injector: Injector, fault: Fault) -> None:
    injector.bring_up(fault)
    # Who is still on its way out comes back when it has gone.
    injector.world.timeline.after(2 * STOP_S, injector.start_if_free, fault)


def _pause(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.pause()


def _resume(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.resume()


def _hiccups(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        wait = injector.rng.uniform(0.0, HICCUP_PAUSE_S)
        injector.world.timeline.after(wait, injector.hiccup, fault, node)


def _nothing(_injector: Injector, _fault: Fault) -> None:
    """It ends by itself."""


def _slow(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.slow_down(fault.amount, starved=fault.amount > STARVED_S)
    injector.links_changed()


def _quick(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.slow_down(-fault.amount, starved=fault.amount > STARVED_S)
    injector.links_changed()


def _jump(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.clock.jump_us += int(fault.amount * 1e6)


def _jump_back(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.clock.jump_us -= int(fault.amount * 1e6)


def _drift(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.run_clock_at(1.0 + sum(injector.amounts(fault.kind, node)))


def _disk(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        amounts = injector.amounts(fault.kind, node)
        match fault.kind:
            case FaultKind.DISK_SLOW:
                node.disk.slow_s = sum(amounts)
            case _:
                node.disk.full = bool(amounts)


def _disk_fails(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.disk.failing = True


def _disk_works(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        node.disk.failing = False
        if not node.up and not injector.down.get(node.number):
            node.start()


def rotate(node: SimNode) -> bool:
    """Have a node go on with its next key, on all its faces; whether this was the time for it.

    As on a real one it is not where the node reaches no majority, or where nobody has told it yet
    what is known of its keys.
    """
    if not node.up or node.paused or node.disk.full or not node.acquainted:
        return False
    if not all(peer.ready and _reaches_majority(peer) for peer in node.faces):
        return False
    signer, chain = node.keys.next()
    try:
        effects = [peer.rotate(chain, signer, None, now=node.now) for peer in node.faces]
    except ProposalError:
        return False
    node.keys.save(signer, chain)
    for face, each in enumerate(effects):
        node.perform(face, each)
    return True


def _reaches_majority(peer: Peer) -> bool:
    return peer.membership.partition() not in (Partition.MINORITY, Partition.EVEN)


def _rotate(injector: Injector, fault: Fault) -> None:
    for node in injector.nodes(fault):
        injector.rotate_soon(fault, node)


class _Switch(Protocol):
    def __call__(self, injector: Injector, fault: Fault, *, heal: bool) -> None: ...


def _switch(act: _Switch) -> tuple[_Act, _Act]:
    return (
        lambda injector, fault: act(injector, fault, heal=False),
        lambda injector, fault: act(injector, fault, heal=True),
    )


_ACTS: dict[FaultKind, tuple[_Act, _Act]] = {
    FaultKind.SPLIT: (_cut, _mend),
    FaultKind.ONE_WAY: (_cut, _mend),
    FaultKind.RING: (_cut, _mend),
    FaultKind.BRIDGE: (_cut, _mend),
    FaultKind.ISOLATE: (_cut, _mend),
    FaultKind.SWIZZLE: (Injector.swizzle, Injector.unswizzle),
    FaultKind.LOSS: _switch(_weather),
    FaultKind.DUPLICATE: _switch(_weather),
    FaultKind.REORDER: _switch(_weather),
    FaultKind.REPLAY: _switch(_weather),
    FaultKind.DELAY: _switch(_hamper),
    FaultKind.BANDWIDTH: _switch(_hamper),
    FaultKind.CLOG: _switch(_hamper),
    FaultKind.CRASH: (Injector.take_down, Injector.bring_up),
    FaultKind.WIPE: (_wipe, Injector.bring_up),
    FaultKind.OLD_DISK: (_old_disk, Injector.bring_up),
    FaultKind.POWER_LOSS: (_power_loss, Injector.bring_up),
    FaultKind.STOP: (_stop, _return),
    FaultKind.PAUSE: (_pause, _resume),
    FaultKind.HICCUPS: (_hiccups, _nothing),
    FaultKind.SLOW: (_slow, _quick),
    FaultKind.CLOCK_JUMP: (_jump, _jump_back),
    FaultKind.CLOCK_DRIFT: (_drift, _drift),
    FaultKind.DISK_SLOW: (_disk, _disk),
    FaultKind.DISK_FULL: (_disk, _disk),
    FaultKind.DISK_FAIL: (_disk_fails, _disk_works),
    FaultKind.ROTATE: (_rotate, _nothing),
}
