"""What a node's machine is made of when it starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from .agreement.docket import Case
from .commits import NOTHING, Dot
from .delivery.standing import NO_QUEUE, Queue
from .detector.config import MembershipConfig
from .identity import KeyChain
from .records import NodeRecord
from .restored import RestoredBranch
from .shared.joined import Joined
from .shared.reading import PLAIN, Reading
from .signing import ED25519, Signer, Verifier
from .sync.recollection import Hearing


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSetup:
    """What a peer is made of; everything that differs from node to node."""

    cluster: bytes
    chain: KeyChain
    signer: Signer
    record: NodeRecord
    """What this node says of itself, with the incarnation of this life."""
    restored: Sequence[RestoredBranch] = ()
    evidence: Sequence[Case] = ()
    """The forks that were found in earlier lives, from disk."""
    last_dot: Dot = NOTHING
    """The newest version ever signed, from disk."""
    queue: Queue = NO_QUEUE
    """The retry queue, from disk."""
    membership: MembershipConfig
    hearing: Hearing
    """What has to be heard of ourselves before anything is signed."""
    joined: Joined | None = None
    """Where a simulated node begins, with all others; `restored` is then empty."""
    verifier: Verifier = ED25519
    """Who judges signatures; a simulation shares one that remembers."""
    reading: Reading = PLAIN
    """How messages and records are read; the same holds."""
