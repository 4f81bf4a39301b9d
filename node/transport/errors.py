"""Every exception of the transports, and who is to blame.

TransportError
├── BindError               the address in the configuration cannot be had; the operator mends it
├── FrameError              the other end broke the framing; the stream is closed
└── PeerError               a request to a peer failed; its stream is closed, nothing else is hurt
    ├── PeerUnreachableError    no stream, or it broke: count it against the way there
    ├── PeerTimeoutError        too slow: count it against the peer
    ├── PeerRefusedError        one end does not accept the other; do not hurry to try again
    └── PoolBusyError           our own limits: count it against nobody, try later

After PoolBusyError the peer surely has not acted on the request; after the others it may have.
"""

from protocol.errors import RefusalCode
from protocol.identity import Address


class TransportError(Exception):
    """Base class; never raised itself."""


class BindError(TransportError):
    """An address that cannot be listened on. Nothing is bound."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {Address(host, port)}: {reason}; "
            "choose another host or port, or stop the program that holds it"
        )
        self.host = host
        self.port = port
        self.reason = reason


class FrameError(TransportError):
    """A frame that is longer than allowed or was cut short. The stream must be closed."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class PeerError(TransportError):
    """A request that was not answered. The stream it used is closed."""

    def __init__(self, peer: Address, message: str) -> None:
        super().__init__(f"{peer}: {message}")
        self.peer = peer


class PeerUnreachableError(PeerError):
    """No stream could be opened, or it broke before the answer was whole."""


class PeerTimeoutError(PeerError):
    """The time of the request was over before the answer was whole."""


class PeerRefusedError(PeerError):
    """The handshake failed, or the answer broke the framing; `code` says why."""

    def __init__(self, peer: Address, code: RefusalCode, message: str) -> None:
        super().__init__(peer, message)
        self.code = code


class PoolBusyError(PeerError):
    """All allowed connections were busy for as long as the request might wait. Nothing was sent."""
