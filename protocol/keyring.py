"""The keys under which we and each peer authenticate our datagrams to each other.

One X25519 agreement a peer (about 90 µs), kept until its key changes. The sender of a datagram is
named by the first 16 bytes of its id: half of a hash, so two members never share them by accident,
and whoever made them collide on purpose would still lack the other's key.
"""

from collections.abc import Mapping, MutableMapping

from . import signing
from .detector.detection import SignedAck, SignedVotes, Vote
from .identity import KeyChain, NodeId
from .registry import Registry
from .shared.layered import Layered
from .wire.messages import PREFIX_BYTES, ack_payload, votes_payload


def prefix_of(node: NodeId) -> bytes:
    """What names a node in its datagrams."""
    return bytes(node[:PREFIX_BYTES])


class Keyring:
    """Pairwise keys, bounded by the owners that the registry accepts."""

    def __init__(
        self,
        me: NodeId,
        signer: signing.Signer,
        cluster: bytes,
        start: Mapping[bytes, NodeId] | None = None,
    ) -> None:
        """`start`: whom we know from the beginning, by prefix; shared, so it never changes."""
        self._me = me
        self._signer = signer
        self._cluster = cluster
        self._keys: dict[NodeId, tuple[int, bytes]] = {}
        self._by_prefix: MutableMapping[bytes, NodeId] = Layered(start) if start else {}

    def learn(self, node: NodeId) -> None:
        """A node whose key events we hold may be named by its prefix from now on."""
        self._by_prefix.setdefault(prefix_of(node), node)

    def node_of(self, prefix: bytes) -> NodeId | None:
        """Whose id starts so, if we know them."""
        return self._by_prefix.get(prefix)

    def key_for(self, chain: KeyChain) -> bytes | None:
        """The key shared with the owner of `chain`; None if its public key is unusable."""
        kept = self._keys.get(chain.node)
        if kept is not None and kept[0] == chain.epoch:
            return kept[1]
        public_key = chain.key_of(chain.epoch)
        secret = self._signer.agree(public_key) if public_key is not None else None
        if secret is None:
            return None
        key = signing.mac_key(secret, self._cluster)
        self._keys[chain.node] = (chain.epoch, key)
        return key


class MemberVoice:
    """Signs our findings and checks everybody's: the `Voice` of the failure detector."""

    def __init__(
        self, me: NodeId, signer: signing.Signer, trust: signing.Trust, registry: Registry
    ) -> None:
        self._me = me
        self._signer = signer
        self._trust = trust
        self._registry = registry

    def sign_ack(self, incarnation: int, counter: int) -> SignedAck:
        """Sign that we live."""
        payload = ack_payload(self._me, incarnation, counter)
        signature = signing.sign(self._signer, signing.Domain.ACK, self._trust.cluster, payload)
        return SignedAck(self._me, self._epoch(), incarnation, counter, signature)

    def sign_votes(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        """Sign our findings."""
        payload = votes_payload(self._me, votes, stamp)
        signature = signing.sign(self._signer, signing.Domain.VOTES, self._trust.cluster, payload)
        return SignedVotes(self._me, self._epoch(), votes, stamp, signature)

    def verify(self, item: SignedAck | SignedVotes) -> bool:
        """Whether the signature is its author's, with the key that stands now."""
        if isinstance(item, SignedAck):
            author, domain = item.node, signing.Domain.ACK
            payload = ack_payload(item.node, item.incarnation, item.counter)
        else:
            author, domain = item.author, signing.Domain.VOTES
            payload = votes_payload(item.author, item.votes, item.stamp)
        chain = self._registry.chain(author)
        if chain is None or chain.revoked or chain.epoch != item.epoch:
            return False
        key = chain.key_of(item.epoch)
        return key is not None and self._trust.verify(key, domain, payload, item.signature)

    def _epoch(self) -> int:
        chain = self._registry.chain(self._me)
        return chain.epoch if chain else 0
