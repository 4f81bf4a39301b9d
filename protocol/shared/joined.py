"""A cluster that has joined already: what its nodes have in common, made once for all of them.

Where joining is not the question, a simulation of thousands starts here. Everybody holds the same
branches, each with one commit that brings its owner's node record; everybody is alive to everybody.
Peers made from it (`PeerSetup.joined`) read these tables and copy what they change, so a world
takes the memory of one node and a little for each.

Rule this module keeps: what it made is never changed; peers see each other's changes only when they
are told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from protocol.authoring import Authoring
from protocol.bodies import key_of
from protocol.branch import Branch
from protocol.clocks import HybridClock, Instant
from protocol.commits import NOTHING
from protocol.detector.roster import Assembly
from protocol.errors import LocalProtocolError
from protocol.identity import KeyChain, NodeId
from protocol.keyring import prefix_of
from protocol.records import NodeRecord
from protocol.registry import Holding, Registry
from protocol.restored import RestoredBranch
from protocol.signing import Signer, Trust


class Founder(Protocol):
    """One of the first nodes: what `PeerSetup` says of it."""

    @property
    def chain(self) -> KeyChain:
        """Its key events."""
        ...

    @property
    def signer(self) -> Signer:
        """Its key."""
        ...

    @property
    def record(self) -> NodeRecord:
        """What it says of itself."""
        ...


@dataclass(frozen=True, slots=True)
class Joined:
    """What every node of the cluster begins with."""

    holding: Holding
    assembly: Assembly
    prefixes: Mapping[bytes, NodeId]
    """Who is named by which prefix in a datagram."""

    @classmethod
    def of(cls, founders: Iterable[Founder], trust: Trust, *, rings: int, now: Instant) -> "Joined":
        """Let each sign its first commit, and all hold all of them.

        Args:
            founders: the nodes, in the order in which all have heard of each other.
            trust: the cluster, and who verifies.
            rings: of their membership configuration.
            now: when that is, on the clock that the peers go on with.
        """
        registry = Registry(trust)
        for founder in founders:
            _found(registry, founder, trust, now)
        incarnations = {
            owner: record.incarnation
            for owner in registry.owners()
            if (record := registry.node(owner)) is not None
        }
        prefixes = {prefix_of(owner): owner for owner in incarnations}
        assembly = Assembly.of(incarnations, rings, now=now.mono_s)
        return cls(registry.holding(), assembly, prefixes)

    def stored(self) -> tuple[RestoredBranch, ...]:
        """What each has on its disk."""
        return tuple(_stored(branch) for branch in self.holding.branches.values())


def _stored(branch: Branch) -> RestoredBranch:
    return RestoredBranch(
        branch.owner,
        tuple(branch.chain.packed()),
        branch.head,
        tuple(branch.since(b"") or ()),
        tuple(branch.records.values()),
        reaped=False,
    )


def _found(registry: Registry, founder: Founder, trust: Trust, now: Instant) -> None:
    branch, _ = registry.learn(founder.chain.packed())
    authoring = Authoring(branch, founder.signer, trust, last=NOTHING, clock=HybridClock())
    authoring.open = True
    record = replace(founder.record, updated_at=now.wall_us)
    authoring.stage({key_of(record): record}, None)
    signed = authoring.next(now)
    if signed is None:
        raise LocalProtocolError("a founder had nothing to sign")
    registry.offer(branch.owner, (signed.commit,), now=now.mono_s)
