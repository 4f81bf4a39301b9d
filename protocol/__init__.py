"""The gossip protocol as pure values and machines: bytes and time in, effects out.

    peer = Peer(setup, rng=..., now=...)        one node's protocol; restored from what storage gave
    effects = peer.receive(datagram, source, now=...)
    effects = peer.tick(now=...)                no later than peer.next_deadline

What is named here is what the other layers start from; `records`, `rules`, `bodies` and `wire` hold
the values that they build and read.
"""

from .clocks import Instant
from .effects import Drop, Effect, Keep, Notify, Persist, Request, Send, Store
from .errors import LocalProtocolError, ProposalError, ProtocolError, RemoteProtocolError
from .events import Applied, Committed, Event, ForkFound, ForkSettled, Joined, MemberChanged, Ready
from .identity import Address, KeyChain, NodeId
from .peer import Peer
from .registry import Registry
from .restored import RestoredBranch
from .setup import PeerSetup

__all__ = (
    "Address",
    "Applied",
    "Committed",
    "Drop",
    "Effect",
    "Event",
    "ForkFound",
    "ForkSettled",
    "Instant",
    "Joined",
    "Keep",
    "KeyChain",
    "LocalProtocolError",
    "MemberChanged",
    "NodeId",
    "Notify",
    "Peer",
    "PeerSetup",
    "Persist",
    "ProposalError",
    "ProtocolError",
    "Ready",
    "Registry",
    "RemoteProtocolError",
    "Request",
    "RestoredBranch",
    "Send",
    "Store",
)
