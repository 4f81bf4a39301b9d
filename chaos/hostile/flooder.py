"""Datagrams and streams of no use, at a rate: some of noise, some authentic with a body of noise.

Rules this module keeps:

1. It sends so many datagrams a second and no more, and holds few streams at one time.
2. Without keys it is a stranger: all that it sends is noise.
"""

import contextlib
import socket
from random import Random

from protocol import limits
from protocol.wire.messages import FORMAT, OVERHEAD, DatagramKind

from .contact import Contact, meet_all
from .keys import Stolen
from .turns import turns

STREAMS_MAX = 16
"""At one time; the oldest is closed for the next."""
STREAM_EVERY = 50
"""Datagrams to one stream."""
NOISE_SHARE = 0.3
"""Of an insider's datagrams."""
_CONNECT_S = 0.2
_FRAME_BYTES_MAX = 4_096


def flood(
    stolen: Stolen | None,
    targets: list[tuple[str, int]],
    *,
    per_s: float,
    for_s: float,
    rng: Random,
) -> dict[str, int]:
    """Send to drawn targets; how many datagrams and streams."""
    contacts = meet_all(targets, stolen) if stolen is not None else []
    datagrams = refused = 0
    with _Streams() as streams, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in turns(per_s=per_s, for_s=for_s):
            datagram, address = _next(contacts, targets, rng)
            try:
                udp.sendto(datagram, address)
            except OSError:
                refused += 1
            datagrams += 1
            if datagrams % STREAM_EVERY == 0:
                streams.open(address, rng.randbytes(rng.randrange(1, _FRAME_BYTES_MAX)))
        opened = streams.count
    return {"datagrams_count": datagrams, "streams_count": opened, "unsent_count": refused}


class _Streams:
    """Streams that were opened, said something that means nothing, and stay."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self.count = 0

    def __enter__(self) -> "_Streams":
        return self

    def __exit__(self, *_: object) -> None:
        for tcp in self._open:
            tcp.close()

    def open(self, address: tuple[str, int], noise: bytes) -> None:
        """Another one; the oldest is closed if there are too many."""
        while len(self._open) >= STREAMS_MAX:
            self._open.pop(0).close()
        with contextlib.suppress(OSError):
            tcp = socket.create_connection(address, _CONNECT_S)
            self._open.append(tcp)
            tcp.sendall(noise)
            self.count += 1


def _next(
    contacts: list[Contact], targets: list[tuple[str, int]], rng: Random
) -> tuple[bytes, tuple[str, int]]:
    if not contacts or rng.random() < NOISE_SHARE:
        noise = rng.randbytes(rng.randrange(limits.DATAGRAM_MAX))
        # Half of it looks like ours, as far as that can be seen without a key.
        kind = rng.choice(list(DatagramKind))
        head = bytes((FORMAT, kind)) if rng.random() < 0.5 else b""
        return (head + noise)[: limits.DATAGRAM_MAX], rng.choice(targets)
    contact = rng.choice(contacts)
    body = rng.randbytes(rng.randrange(limits.DATAGRAM_MAX - OVERHEAD))
    return contact.seal(rng.choice(list(DatagramKind)), body), contact.address
