"""Programs that hold the keys of a true member and do not keep to the protocol.

    slanderer    signs again and again that members which live cannot be reached
    forker       signs two commits of one version, and shows each half of the cluster another
    flooder      sends datagrams and streams of no use, some authentic, as fast as it is told

The member whose keys they are runs on and knows nothing of it. Each runs as a process of its own,
in that member's network: `python -m chaos.hostile KIND --key-dir … --target …`.

Rules this layer keeps:

1. It knows the protocol by `protocol` alone, as anybody would who wrote such a program.
2. A program ends when its time is over, when its standard input ends, or when it is told to.
3. It says at its end, in one line of JSON, what it has done.
"""

from .program import KINDS

__all__ = ("KINDS",)
