"""Datagrams as they leave and arrive: addressed, and authenticated by pairwise keys."""

from .clocks import Instant
from .detector.detection import DetectorMessage, Heartbeat
from .dissemination import Told
from .effects import Effect, Send
from .errors import RefusedError
from .identity import Address, NodeId
from .keyring import Keyring
from .registry import Registry
from .wire.messages import ROOT_PREFIX_BYTES, Beat, DatagramKind, Message, encode, seal


class Post:
    """Seals and opens one node's datagrams. `Peer` keeps its `now`."""

    def __init__(self, me: NodeId, registry: Registry, keyring: Keyring, *, now: Instant) -> None:
        self.now = now
        self._me = me
        self._registry = registry
        self._keyring = keyring

    def tell(self, told: list[Told]) -> list[Effect]:
        """Send messages to members; whose address or key is not known is left out."""
        effects: list[Effect] = []
        for one in told:
            kind, body = encode(one.message)
            for node in one.to:
                branch = self._registry.branch(node)
                record = branch.node if branch and node != self._me else None
                if branch is None or record is None:
                    continue
                key = self._keyring.key_to(branch.chain, now=self.now.mono_s)
                if key is not None:
                    datagram = seal(self._me, key, kind, body)
                    urgent = kind in (DatagramKind.EVIDENCE, DatagramKind.KEYS)
                    effects.append(Send(Address(record.host, record.port), datagram, urgent))
        return effects

    def with_root(self, message: DetectorMessage) -> Message:
        """As it is sent: a heartbeat says also what we hold."""
        if not isinstance(message, Heartbeat):
            return message
        return Beat(message, self._registry.settled_root(self.now.mono_s)[:ROOT_PREFIX_BYTES])

    def address(self, node: NodeId) -> Address:
        """Where a node takes datagrams, or nowhere if that is not known."""
        record = self._registry.node(node)
        return Address(record.host, record.port) if record else Address("", 0)

    def open(self, datagram: bytes, node: NodeId) -> bytes:
        """The body of a datagram in that node's name.

        Raises:
            RefusedError: `bad_mac`, `stale` or `foreign`; see `Keyring.open`.
        """
        chain = self._registry.chain(node)
        if chain is None:
            raise RefusedError("unknown_sender", "no key events of that node are known")
        return self._keyring.open(datagram, chain, now=self.now.mono_s)
