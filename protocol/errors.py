"""Every exception the protocol layer raises, and who is to blame for it.

ProtocolError
├── LocalProtocolError       our own caller broke the contract; a bug to fix here
│   ├── ClockError
│   └── ProposalError        a change that cannot be committed; the edge tells its client
└── RemoteProtocolError      a peer broke the contract; count it and carry on
    ├── MalformedError
    ├── BadKeyEventError
    └── RefusedError

The split follows h11: the class tells the caller what to *do*, so a handler never has to read the
message text. `Peer` lets no RemoteProtocolError escape: each becomes a `Drop` with its code, and
docs/PROTOCOL.md lists every code with what it means.
"""

from typing import Literal

RefusalCode = Literal[
    "bad_mac",
    "bad_signature",
    "duplicate",
    "foreign",
    "limit",
    "malformed",
    "oversized",
    "rate_limited",
    "replayed",
    "root_mismatch",
    "stale",
    "unknown_sender",
    "unknown_version",
    "wrong_cluster",
]
"""Why something a peer sent was not taken; the label of `kith_refused_total`.

`duplicate` is no fault: what four rings carry arrives up to four times.
"""


class ProtocolError(Exception):
    """Base class; never raised itself."""


class LocalProtocolError(ProtocolError):
    """Our own code called the machine in a way the protocol forbids. State is unchanged."""


class ClockError(LocalProtocolError):
    """`now` was smaller than in an earlier call.

    Deadlines are differences of `now`: drive the machine from a monotonic clock. State is
    unchanged.
    """

    def __init__(self, *, previous_s: float, now_s: float) -> None:
        super().__init__(f"clock went back {previous_s - now_s:.6f} s: {previous_s} -> {now_s}")
        self.previous_s = previous_s
        self.now_s = now_s


class ProposalError(LocalProtocolError):
    """A change that this node may not make. State is unchanged; tell whoever asked.

    `field` names what is wrong in the words of the HTTP API.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class RemoteProtocolError(ProtocolError):
    """A peer sent something this protocol does not allow. State is unchanged."""

    code: RefusalCode = "malformed"


class MalformedError(RemoteProtocolError):
    """Bytes that are not what they should be: wrong type, length, encoding or order."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason


class BadKeyEventError(RemoteProtocolError):
    """A key chain that breaks a rule of `identity`; nothing of it was taken."""

    code: RefusalCode = "bad_signature"


class RefusedError(RemoteProtocolError):
    """Well-formed, but not to be accepted; `code` says why."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code
