"""The keys of one simulated node: what its file holds, and what it shows others on streams.

A rotation writes the file first, as a real node does, so a crash in the midst of it starts again
with the new key; what is shown changes only when the machine says that the new key stands.
"""

from collections.abc import Callable

from protocol.identity import ROTATION, KeyChain, NodeId, commitment, continued, make_event
from protocol.signing import Signer, Trust


class NodeKeys:
    """`successor` gives the key of a later epoch, to which the event before it commits."""

    def __init__(
        self, signer: Signer, chain: KeyChain, successor: Callable[[int], Signer], trust: Trust
    ) -> None:
        self.signer = signer
        self.chain = chain
        self._file = signer, chain
        self._successor = successor
        self._trust = trust

    def load(self) -> None:
        """Take what the file holds: at a start, or when its key stands."""
        self.signer, self.chain = self._file

    def turned(self, owner: NodeId) -> None:
        """An owner's new key stands: it may be ours."""
        if owner == self.chain.node:
            self.load()

    def save(self, signer: Signer, chain: KeyChain) -> None:
        """Write the file."""
        self._file = signer, chain

    def next(self) -> tuple[Signer, KeyChain]:
        """The key that the newest event committed to, and the chain with it."""
        epoch = self.chain.epoch + 1
        signer, following = self._successor(epoch), self._successor(epoch + 1)
        event = make_event(
            ROTATION,
            previous=self.chain.events[-1],
            key=signer,
            next_commitment=commitment(following.public_key),
            cluster=self._trust.cluster,
        )
        return signer, continued(self.chain, event, self._trust)
