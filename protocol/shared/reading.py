"""How the bytes of others become values: two pure functions, or others with the same results.

A real node reads each message once. In a simulation thousands of nodes in one process read the very
same bytes, so it passes functions that remember what came out, and the nodes share the values too.
"""

from collections.abc import Callable
from dataclasses import dataclass

from protocol import bodies
from protocol.bodies import Body
from protocol.commits import Record
from protocol.wire.messages import DatagramKind, Message, decode


@dataclass(frozen=True, slots=True)
class Reading:
    """What reads; each raises what the functions do that it stands for."""

    message: Callable[[DatagramKind, bytes], Message] = decode
    """Reads a datagram's body, as `wire.messages.decode` does."""
    body: Callable[[Record], Body] = bodies.decode
    """Reads a record's body and applies its rules, as `bodies.decode` does."""


PLAIN = Reading()
"""Reads everything anew."""
