"""The retry queue that a node has after a start, compared with what had been committed.

The node is killed before its peers, and started while they are still down, so that nobody can
acknowledge anything between its start and the look at its queue. Three witnesses: its own disk
before the start (the doctor), its clients, and its peers. What must hold for each peer:

1. What waited for it on disk waits for it now, and besides only what the start itself committed: at
   least the node's record of its new life, and nothing that a client asks for.
2. Every change that was acknowledged to a client, and is newer than what the peer is down as
   holding, waits for it.
3. The peer is down as holding (`held`) nothing that it did not hold after the node had died, and as
   having on disk (`stored`) nothing that is not there.

What a peer held in memory only when it was killed itself, some 0.2 s of what it had been told, is
no violation but counted: the queue does not know of it, and repair brings it (decisions 11, 23).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaos.cluster.processes import NodeProcess
from protocol.commits import NOTHING, Dot

from .doctor import Found, Waiting
from .shapes import dots, rows, whole

Heard = Mapping[str, Dot]
"""How far a node holds every owner, in memory or on disk."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One peer in the queue that a node shows."""

    waiting: int
    oldest: int = 0
    """The versions of the oldest and of the newest that wait; 0 where none does."""
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Alone:
    """What a node shows while all its peers are down."""

    queue: Mapping[str, Shown]
    """By peer."""
    log: Mapping[int, Sequence[str]]
    """Its newest commits: by version, the kinds of what each changed."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What a peer held of the node's commits."""

    name: str
    heard: Dot
    """In memory, after the node had died."""
    disk: Dot
    """On its disk, after it was killed itself."""


def heard_by(node: NodeProcess) -> Heard:
    """Its vector clock. Raises NoAnswerError."""
    return dots(node.call("GET", "/v1/clock").value, "clock")


def look(node: NodeProcess) -> Alone:
    """At the queue of a node that has just become ready. Raises NoAnswerError."""
    # In this order: the log then knows all that is in the queue.
    queue = node.call("GET", "/v1/queue?all=true").rows("deliveries")
    log = node.call("GET", "/v1/owners/self/log").rows("commits")
    return Alone(
        {
            str(one.get("peer")): Shown(*(whole(one, n) for n in ("waiting", "oldest", "newest")))
            for one in queue
        },
        {
            whole(one, "version"): [str(change.get("kind")) for change in rows(one, "changes")]
            for one in log
        },
    )


def compare(
    found: Found, alone: Alone, told: Iterable[int], peers: Mapping[str, Witness]
) -> list[str]:
    """A sentence for each difference.

    Args:
        found: what the doctor said of the node's disk before it started.
        alone: what the node showed then.
        told: the versions of all changes that were acknowledged through it.
        peers: all others of the cluster, by id.
    """
    newest = max((shown.newest for shown in alone.queue.values()), default=0)
    made = {v: kinds for v, kinds in alone.log.items() if found.own.version < v <= newest}
    said = [
        f"version {version} was committed by the start and changes a service"
        for version, kinds in made.items()
        if "service" in kinds
    ]
    if not any("node" in kinds for kinds in made.values()):
        said.append("its record of the new life waits for nobody")
    versions = sorted(set(told))
    for peer, witness in peers.items():
        on_disk, shown = _of(found, peer), alone.queue.get(peer)
        if shown is None:
            said.append(f"{witness.name} is not in it")
            continue
        differences = [
            *_since_the_disk(on_disk, shown, len(made)),
            *_by_the_clients(on_disk, shown, versions),
            *_by_the_peer(on_disk, witness),
        ]
        said += [f"for {witness.name}: {what}" for what in differences]
    strangers = (found.queue.keys() | alone.queue.keys()) - peers.keys()
    return said + [f"{stranger} is in it and no peer" for stranger in sorted(strangers)]


def forgotten(found: Found, peers: Mapping[str, Witness]) -> int:
    """How many peers are down as holding what their crash made them forget."""
    return sum(_of(found, peer).held > witness.disk for peer, witness in peers.items())


def _of(found: Found, peer: str) -> Waiting:
    """Who has no row on disk yet is begun with as holding nothing."""
    return found.queue.get(peer, Waiting(waiting=found.outbox))


def _since_the_disk(on_disk: Waiting, shown: Shown, made: int) -> list[str]:
    if shown.waiting == on_disk.waiting + made:
        return []
    return [
        f"{on_disk.waiting} waited on disk, {made} were committed since, and {shown.waiting} wait"
    ]


def _by_the_clients(on_disk: Waiting, shown: Shown, told: Sequence[int]) -> list[str]:
    lacking = [version for version in told if version > on_disk.held.version]
    if not lacking:
        return []
    said = []
    if shown.waiting < len(lacking):
        said.append(f"{len(lacking)} were acknowledged that it lacks, and {shown.waiting} wait")
    if not shown.oldest <= lacking[0] <= lacking[-1] <= shown.newest:
        waits = f"{shown.oldest}..{shown.newest}"
        said.append(f"acknowledged were {lacking[0]}..{lacking[-1]}, and {waits} wait")
    return said


def _by_the_peer(on_disk: Waiting, witness: Witness) -> list[str]:
    said = []
    if on_disk.held > witness.heard:
        said.append(f"down as holding {_text(on_disk.held)}, it held {_text(witness.heard)}")
    if on_disk.stored > witness.disk:
        stored, disk = _text(on_disk.stored), _text(witness.disk)
        said.append(f"down as having {stored} on disk, it has {disk} there")
    return said


def _text(dot: Dot) -> str:
    return "nothing" if dot == NOTHING else f"{dot.version}"
