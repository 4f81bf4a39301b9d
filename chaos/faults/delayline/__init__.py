"""A delay line: a process in a node's network that holds back what the node sends to its peers.

    node ─▶ rule: to a peer ─▶ tun device ─▶ queue, by time ─▶ raw socket, marked ─▶ eth0 ─▶ peer
                                                               rule: marked ─▶ as ever

It does what `tc netem` does, for kernels without that. Packets stay as they are, addresses and all;
only when they leave changes, in which order, and how often.

Rules this layer keeps:

1. It needs nothing of the rest of chaos, and runs alone: `python -m chaos.faults.delayline`.
2. Who started it holds its standard input; when that ends, all that waits is sent and it ends.
3. It is bounded in packets and bytes; what does not fit is dropped and counted.
"""

from .queue import PACKETS_MAX, QUEUED_BYTES_MAX, DelayQueue, Shape
from .wiring import DEVICE, MARK, PREFERENCE, TABLE, rules_in, rules_out

__all__ = (
    "DEVICE",
    "MARK",
    "PACKETS_MAX",
    "PREFERENCE",
    "QUEUED_BYTES_MAX",
    "TABLE",
    "DelayQueue",
    "Shape",
    "rules_in",
    "rules_out",
)
