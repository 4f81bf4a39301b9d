"""The trace of a run: a hash over everything that happened, and lines for people who ask for them.

The hash covers each effect of each node with its time, byte for byte; two runs with one hash were
the same run. Lines are made only if somebody wants them.
"""

import hashlib
import struct
from typing import Protocol, assert_never

from protocol.effects import (
    Drop,
    DropDelivery,
    DropRecords,
    Effect,
    Keep,
    KeepChain,
    KeepCommit,
    KeepDelivery,
    KeepEvidence,
    KeepManifest,
    KeepMend,
    Mark,
    Notify,
    Persist,
    Recall,
    Request,
    Send,
    Store,
    TrimOutbox,
)
from protocol.events import (
    Acknowledged,
    Applied,
    Committed,
    Event,
    ForkFound,
    ForkSettled,
    Joined,
    KeyForkFound,
    KeysChanged,
    MemberChanged,
    Parted,
    Ready,
    ShutOut,
)
from protocol.identity import Address, NodeId
from protocol.wire.messages import DatagramKind

_HEAD = struct.Struct(">dI")


class TraceSink(Protocol):
    """Where lines go."""

    def line(self, at_s: float, node: str, text: str) -> None:
        """One thing that happened at a node."""
        ...


class Names(Protocol):
    """What nodes are called."""

    def of(self, node: NodeId) -> str:
        """The name behind an id, or its first characters."""
        ...

    def at(self, address: Address) -> str:
        """The name behind an address, or the address."""
        ...


class Trace:
    """Takes note of everything. `sink` is None where nobody wants to read."""

    def __init__(self, names: Names, sink: TraceSink | None) -> None:
        self._names = names
        self._sink = sink
        self._hash = hashlib.blake2b(digest_size=16)

    @property
    def hash(self) -> str:
        """The hash over all so far, 32 hexadecimal digits."""
        return self._hash.hexdigest()

    def note(self, at_s: float, node: str, text: str) -> None:
        """Something that is not an effect: a fault, a client's request, a start."""
        self._hash.update(f"{at_s!r} {node} {text}\n".encode())
        if self._sink is not None:
            self._sink.line(at_s, node, text)

    def effect(self, at_s: float, number: int, node: str, effect: Effect) -> None:
        """One effect of one node."""
        update = self._hash.update
        update(_HEAD.pack(at_s, number))
        match effect:
            case Send(to, datagram):
                update(str(to.port).encode() + to.host.encode())
                update(datagram)
            case Request(to, _, body, ticket):
                update(f"R{ticket} {to}".encode())
                update(body)
            case _:
                update(self.describe(effect).encode())
        if self._sink is not None:
            self._sink.line(at_s, node, self.describe(effect))

    def describe(self, effect: Effect) -> str:  # noqa: PLR0911 (a return a case)
        """An effect in one line."""
        names = self._names
        match effect:
            case Send(to, datagram):
                kind = DatagramKind(datagram[1]).name.lower() if len(datagram) > 1 else "garbage"
                return f"send {kind} {len(datagram)} B to {names.at(to)}"
            case Request(to, _, body, ticket):
                return f"request #{ticket} {len(body)} B to {names.at(to)}"
            case Store(keep):
                return f"store {self._keep(keep)}"
            case Persist(keeps):
                return "persist " + ", ".join(self._keep(keep) for keep in keeps)
            case Mark(number):
                return f"mark {number}"
            case Recall(after, count, _, ticket):
                return f"recall #{ticket} {count} after version={after.version}"
            case Notify(event):
                return self._event(event)
            case Drop(source, reason):
                return f"drop {reason} from {names.at(source)}"
            case _:
                assert_never(effect)

    def _keep(self, keep: Keep) -> str:  # noqa: PLR0911 (a return a case)
        of = self._names.of
        match keep:
            case KeepCommit(commit, changes):
                head = commit.head
                return f"commit {of(head.owner)} {head.hash.hex()[:8]} changes={len(changes)}"
            case KeepManifest(manifest):
                head = manifest.head
                count = len(manifest.records)
                return f"manifest {of(head.owner)} {head.hash.hex()[:8]} records={count}"
            case KeepMend(head, changes):
                return f"mend {of(head.owner)} {head.hash.hex()[:8]} changes={len(changes)}"
            case KeepChain(chain):
                return f"keys {of(chain.node)} epoch={chain.epoch}"
            case DropRecords(head):
                return f"reaped {of(head.owner)} {head.hash.hex()[:8]}"
            case KeepEvidence(case):
                state = "open" if case.open else "settled"
                return f"evidence {of(case.owner)} {case.id.hex()[:8]} {state}"
            case KeepDelivery(delivery):
                return f"delivery {of(delivery.peer)} held={delivery.held.version}"
            case DropDelivery(peer):
                return f"no delivery {of(peer)}"
            case TrimOutbox(through):
                return f"trim version={through.version}"
            case _:
                assert_never(keep)

    def _event(self, event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 (a return a case)
        of = self._names.of
        match event:
            case Committed(tickets, dot):
                return f"committed version={dot.version} tickets={list(tickets)}"
            case Applied(owner, dot, services, _, _):
                return f"applied {of(owner)} version={dot.version} {' '.join(services)}".rstrip()
            case MemberChanged(node, old, new, certified):
                before = old.value if old else "unknown"
                mark = " certified" if certified else ""
                return f"member {of(node)} {before} -> {new.value}{mark}"
            case ForkFound(evidence):
                return f"fork of {of(evidence.owner)}"
            case ForkSettled(case):
                return f"fork of {of(case.owner)} settled"
            case KeysChanged(owner, epoch, revoked):
                return f"keys of {of(owner)} epoch={epoch}{' revoked' * revoked}"
            case KeyForkFound(fork):
                return f"key fork of {of(fork.owner)} sequence={fork.sequence}"
            case ShutOut(epoch):
                return f"shut out epoch={epoch}"
            case Joined(address, node, ok):
                who = of(node) if node is not None else self._names.at(address)
                return f"joined {who}" if ok else f"join of {who} failed"
            case Ready():
                return "ready"
            case Parted(number, stage):
                return f"partition {number} {stage.value}"
            case Acknowledged(peer, held, stored):
                return f"acknowledged {of(peer)} held={held.version} stored={stored.version}"
            case _:
                assert_never(event)
