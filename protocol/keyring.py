"""The keys under which we and each peer authenticate our datagrams to each other.

One X25519 agreement a peer (about 90 µs), kept until its key changes. The sender of a datagram is
named by the first 16 bytes of its id: half of a hash, so two members never share them by accident,
and whoever made them collide on purpose would still lack the other's key.

Rules this module keeps:

1. After a rotation, ours or a peer's, datagrams under the replaced key count for `GRACE_S` more: no
   heartbeat is lost while the news spreads. Signatures are not spared so.
2. We write under the key that the other surely has: our replaced one until it was heard under the
   new one, or the grace is over. From then on nobody who was heard so is believed under the old one
   for longer than datagrams may overtake each other.
3. An owner that revoked its key is not heard at all.
"""

from collections.abc import Iterator, Mapping, MutableMapping

from . import signing
from .commits import Head
from .detector.detection import SignedAck, SignedVotes, Vote
from .errors import RefusedError
from .identity import KeyChain, NodeId
from .registry import Registry
from .shared.layered import Layered
from .wire.messages import (
    PREFIX_BYTES,
    Receipt,
    ack_payload,
    receipt_payload,
    unseal,
    votes_payload,
)

GRACE_S = 10.0
"""How long a replaced key still authenticates datagrams."""
OVERTAKING_S = 1.0
"""… of a peer that was heard under its new key."""


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
        self._keys: dict[NodeId, tuple[bytes, bytes]] = {}
        """Their public key, and what we agreed with it."""
        self._by_prefix: MutableMapping[bytes, NodeId] = Layered(start) if start else {}
        self._before: signing.Signer | None = None
        """Our own replaced key, while it counts."""
        self._until = 0.0
        self._turned: dict[NodeId, None] = {}
        """Who was heard under our new key."""
        self._replaced: dict[NodeId, tuple[bytes, float]] = {}
        """Others' replaced public keys, and until when they count."""
        self._passing: dict[tuple[bytes, bytes], bytes] = {}
        """What was agreed with a replaced key on either side, by both public keys."""
        self.learn(me)

    def learn(self, node: NodeId) -> None:
        """A node whose key events we hold may be named by its prefix from now on."""
        self._by_prefix.setdefault(prefix_of(node), node)

    def node_of(self, prefix: bytes) -> NodeId | None:
        """Whose id starts so, if we know them."""
        return self._by_prefix.get(prefix)

    def replaced(self, old: KeyChain, *, now: float) -> None:
        """Another node's key has just been replaced: `old` is the chain that led to it."""
        public_key = old.key_of(old.epoch)
        if public_key is not None:
            self._replaced[old.node] = public_key, now + GRACE_S

    def turn(self, signer: signing.Signer, *, now: float) -> None:
        """Our own key is another from now on."""
        self._before, self._until = self._signer, now + GRACE_S
        self._signer = signer
        self._keys.clear()
        self._turned.clear()
        self._passing.clear()

    def turning(self, *, now: float) -> bool:
        """Whether a key that we replaced still counts."""
        return self._before is not None and now < self._until

    def key_for(self, chain: KeyChain) -> bytes | None:
        """The key shared with the owner of `chain`; None if its public key is unusable."""
        public_key = chain.key_of(chain.epoch)
        kept = self._keys.get(chain.node)
        if kept is not None and kept[0] == public_key:
            return kept[1]
        key = self._agree(self._signer, public_key) if public_key is not None else None
        if key is not None and public_key is not None:
            self._keys[chain.node] = public_key, key
        return key

    def key_to(self, chain: KeyChain, *, now: float) -> bytes | None:
        """The key to write to the owner of `chain` with."""
        self._expire(now)
        if self._before is None or chain.node in self._turned:
            return self.key_for(chain)
        public_key = chain.key_of(chain.epoch)
        return self._passing_key(self._before, public_key) if public_key is not None else None

    def open(self, datagram: bytes, chain: KeyChain, *, now: float) -> bytes:
        """The body of a datagram from the owner of `chain`.

        Raises:
            RefusedError: `bad_mac`; `stale` if that owner revoked its key; `foreign` if it is us,
                or the key is no key.
        """
        self._expire(now)
        if chain.revoked:
            raise RefusedError("stale", "its owner has revoked that key")
        key = self.key_for(chain)
        if key is None or chain.node == self._me:
            raise RefusedError("foreign", "in our own name, or of an unusable key")
        try:
            body = unseal(datagram, key)
        except RefusedError:
            for ours_is_new, passing in self._passing_keys(chain, now):
                try:
                    body = unseal(datagram, passing)
                except RefusedError:
                    continue
                if ours_is_new:
                    self._turned[chain.node] = None
                return body
            raise
        if self._before is not None:
            self._turned[chain.node] = None
        if chain.node in self._replaced:
            public_key, until = self._replaced[chain.node]
            self._replaced[chain.node] = public_key, min(until, now + OVERTAKING_S)
        return body

    def _expire(self, now: float) -> None:
        if self._before is not None and now >= self._until:
            self._before = None
            self._turned.clear()
            self._passing.clear()

    def _passing_keys(self, chain: KeyChain, now: float) -> Iterator[tuple[bool, bytes]]:
        """The other keys that count, and whether each is under our newest."""
        theirs = chain.key_of(chain.epoch)
        public_key, until = self._replaced.get(chain.node, (b"", 0.0))
        ours = self._before
        pairs: list[tuple[bool, signing.Signer, bytes]] = []
        if ours is not None and theirs is not None:
            pairs.append((False, ours, theirs))
        if now < until:
            pairs.append((True, self._signer, public_key))
            if ours is not None:
                pairs.append((False, ours, public_key))
        elif until:
            del self._replaced[chain.node]
        for ours_is_new, signer, public in pairs:
            key = self._passing_key(signer, public)
            if key is not None:
                yield ours_is_new, key

    def _passing_key(self, signer: signing.Signer, public_key: bytes) -> bytes | None:
        pair = signer.public_key, public_key
        key = self._passing.get(pair)
        if key is None:
            key = self._agree(signer, public_key)
            if key is not None:
                self._passing[pair] = key
        return key

    def _agree(self, signer: signing.Signer, public_key: bytes) -> bytes | None:
        secret = signer.agree(public_key)
        return signing.mac_key(secret, self._cluster) if secret is not None else None


class MemberVoice:
    """Signs our findings and checks everybody's: the `Voice` of the failure detector."""

    def __init__(
        self, me: NodeId, signer: signing.Signer, trust: signing.Trust, registry: Registry
    ) -> None:
        self.signer = signer
        """Replaced when our key is."""
        self._me = me
        self._trust = trust
        self._registry = registry

    def sign_ack(self, incarnation: int, counter: int) -> SignedAck:
        """Sign that we live."""
        payload = ack_payload(self._me, incarnation, counter)
        signature = signing.sign(self.signer, signing.Domain.ACK, self._trust.cluster, payload)
        return SignedAck(self._me, self._epoch(), incarnation, counter, signature)

    def sign_votes(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        """Sign our findings."""
        payload = votes_payload(self._me, votes, stamp)
        signature = signing.sign(self.signer, signing.Domain.VOTES, self._trust.cluster, payload)
        return SignedVotes(self._me, self._epoch(), votes, stamp, signature)

    def sign_receipt(self, head: Head) -> Receipt:
        """Sign that this head of another owner, and all before it, is on our disk."""
        payload = receipt_payload(self._me, head.owner, head.dot, head.hash)
        signature = signing.sign(self.signer, signing.Domain.RECEIPT, self._trust.cluster, payload)
        return Receipt(head.dot, head.hash, self._epoch(), signature)

    def verify_receipt(self, receipt: Receipt, by: NodeId) -> bool:
        """Whether that node signed a receipt for a commit of ours, with the key that stands now."""
        chain = self._registry.chain(by)
        if chain is None or chain.revoked or chain.epoch != receipt.key_epoch:
            return False
        payload = receipt_payload(by, self._me, receipt.dot, receipt.hash)
        key = chain.key_of(receipt.key_epoch)
        return key is not None and self._trust.verify(
            key, signing.Domain.RECEIPT, payload, receipt.signature
        )

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
