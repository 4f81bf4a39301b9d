"""Finding the first peers: seeds that were given, and whoever announces itself nearby.

Both only *find addresses* and hand them to a callback; who stands behind an address proves itself
in the handshake. A name stands for all its addresses, and is looked up anew in every round, because
orchestrators change what a name stands for while the node waits.

Rules this module keeps:

1. Every wait is bounded: a look-up by 5 s, a round of retries by 60 s, an announcement by its pace.
2. Our own addresses are never reported: a name for the whole cluster includes us.
3. Whatever arrives by multicast is a rumour: checked, counted, limited in rate, kept in a bounded
   table, and it can make nothing here raise.
"""

import hashlib
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random
from typing import NoReturn, Protocol, TypeAlias

import trio

from protocol.identity import Address

from . import logs, parsing

LOOK_UP_TIMEOUT_S = 5.0
ADDRESSES_PER_NAME_MAX = 64
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
ALONE_MOST_S = 3.0
"""… of a node that knows nobody: a question costs little, and names that come back should not find
it asleep for as long as they were gone."""
CALM_S = 5.0
"""How often `seek` asks whether peers are needed while they are not."""
ANNOUNCE_S = 10.0
"""Mean time between two announcements, once the first ones have gone out."""
HEARD_PER_S = 20
"""Announcements looked at in a second; more are dropped unread."""
FLOOD_PAUSE_S = 0.25
RUMOURS_MAX = 256
RUMOUR_AGAIN_S = 30.0
"""The same address is reported no more often than this."""

_MAGIC = b"kithmc"
_VERSION = 1
_TAG_BYTES = 8
_CHECKSUM_BYTES = 8
_BODY = struct.Struct(f">{len(_MAGIC)}sB{_TAG_BYTES}sH")
ANNOUNCEMENT_BYTES = _BODY.size + _CHECKSUM_BYTES

Found: TypeAlias = Callable[[Address], None]
LookUp: TypeAlias = Callable[[Address], Awaitable[Sequence[Address]]]

log = logs.get("discovery")


class Backoff:
    """Waits of 1, 2, 4, 8 … ≤ 60 s, each shortened at random by up to a quarter.

    The jitter keeps nodes that lost the same seed at the same time from returning together.
    """

    def __init__(
        self, rng: Random, *, first_s: float = RETRY_FIRST_S, most_s: float = RETRY_MOST_S
    ) -> None:
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def hold_to(self, most_s: float) -> None:
        """No wait is longer than that from now on."""
        self._most_s = most_s
        self._next_s = min(self._next_s, most_s)

    def take_s(self) -> float:
        """The next wait; the one after it is twice as long."""
        wait_s = self._next_s * self._rng.uniform(0.75, 1.0)
        self._next_s = min(self._next_s * 2, self._most_s)
        return wait_s

    def reset(self) -> None:
        """Start over: it went well."""
        self._next_s = self._first_s


@dataclass(frozen=True, slots=True)
class Round:
    """What one look-up of all seeds brought: addresses in the order of the seeds, and failures."""

    found: tuple[Address, ...]
    unresolved: tuple[tuple[Address, str], ...]


async def look_up(seed: Address) -> Sequence[Address]:
    """All addresses a seed stands for, IPv6 and IPv4, by the system's resolver.

    Raises:
        OSError: the name has no address now.
    """
    if parsing.is_ip(seed.host):
        return (seed,)
    answers = await trio.socket.getaddrinfo(seed.host, seed.port, type=socket.SOCK_DGRAM)
    hosts = (str(sockaddr[0]) for *_, sockaddr in answers)
    found = dict.fromkeys(Address(host, seed.port) for host in hosts if parsing.is_ip(host))
    return tuple(found)[:ADDRESSES_PER_NAME_MAX]


async def resolve(
    seeds: Sequence[Address], own: Callable[[Address], bool], *, by: LookUp = look_up
) -> Round:
    """Look all seeds up at once, each for at most 5 s. Failures are part of the answer."""
    answers: dict[Address, Sequence[Address]] = {}
    failures: dict[Address, str] = {}

    async def one(seed: Address) -> None:
        failures[seed] = f"no answer within {LOOK_UP_TIMEOUT_S:g} s"
        with trio.move_on_after(LOOK_UP_TIMEOUT_S):
            try:
                answers[seed] = await by(seed)
            except OSError as error:
                failures[seed] = error.strerror or str(error) or type(error).__name__

    # Short-lived and closed here: one name server that does not answer must not delay the others.
    async with trio.open_nursery() as nursery:
        for seed in seeds:
            nursery.start_soon(one, seed)
    found = dict.fromkeys(each for seed in seeds for each in answers.get(seed, ()))
    return Round(
        tuple(each for each in found if not own(each)),
        tuple((seed, failures[seed]) for seed in seeds if seed not in answers),
    )


async def seek(
    seeds: Sequence[Address],
    *,
    needed: Callable[[], bool],
    looked: Callable[[Round], None],
    own: Callable[[Address], bool],
    backoff: Backoff,
    by: LookUp = look_up,
) -> NoReturn:
    """Look the seeds up while peers are needed, round after round, until cancelled.

    The first round is at once. `looked` is told what it brought, and must not block; it may hold
    `backoff` to shorter waits.
    """
    told: dict[Address, str] = {}
    while True:
        if not needed() or not seeds:
            backoff.reset()
            await trio.sleep(CALM_S)
            continue
        answers = await resolve(seeds, own, by=by)
        looked(answers)
        wait_s = backoff.take_s()
        for seed, reason in answers.unresolved:
            # Once for each reason: a name may be gone for weeks.
            say = log.debug if told.get(seed) == reason else log.warning
            say("seed not found", seed=str(seed), reason=reason, retry_in_s=round(wait_s, 1))
        told = dict(answers.unresolved)
        await trio.sleep(wait_s)


class OwnAddresses:
    """Knows which addresses lead back to this node.

    `listening` on `0.0.0.0` or `::` owns every address of this machine at its port; which those
    are, `local` says: whether this machine could listen on an address.
    """

    def __init__(
        self,
        listening: Address,
        advertised: Address,
        *,
        local: Callable[[str], bool] | None = None,
    ) -> None:
        self._listening = listening
        self._advertised = advertised
        self._local = local or is_local

    def __call__(self, address: Address) -> bool:
        """Whether `address` is this node's own."""
        if address in (self._listening, self._advertised):
            return True
        if address.port != self._listening.port:
            return False
        return parsing.is_unspecified(self._listening.host) and self._local(address.host)


def is_local(host: str) -> bool:
    """Whether an IP address belongs to this machine: whether a socket could be bound to it."""
    if not parsing.is_ip(host):
        return False
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def cluster_tag(cluster: bytes) -> bytes:
    """Eight bytes by which nodes of one cluster know each other's announcements; no secret."""
    return hashlib.blake2b(cluster, digest_size=_TAG_BYTES, person=b"kith/multicast").digest()


def encode_announcement(tag: bytes, gossip_port: int) -> bytes:
    """The datagram that says: a node of this cluster gossips at that port of the sender."""
    body = _BODY.pack(_MAGIC, _VERSION, tag, gossip_port)
    return body + _checksum(body)


def decode_announcement(datagram: bytes, tag: bytes) -> int | None:
    """The gossip port, or None for anything that is no announcement of this cluster."""
    if len(datagram) != ANNOUNCEMENT_BYTES:
        return None
    body = datagram[: _BODY.size]
    magic, version, theirs, port = _BODY.unpack(body)
    if (magic, version, theirs) != (_MAGIC, _VERSION, tag) or port == 0:
        return None
    return int(port) if datagram[_BODY.size :] == _checksum(body) else None


@dataclass(slots=True)
class Rumours:
    """Addresses heard of by multicast: which to report now, at which rate. Bounded."""

    _reported_at: dict[Address, float] = field(default_factory=dict)
    """Oldest report first."""
    _allowance: float = HEARD_PER_S
    _refilled_at: float = 0.0

    def admits(self, *, now: float) -> bool:
        """Whether one more datagram may be looked at; counts it. At most `HEARD_PER_S`."""
        gained = max(0.0, now - self._refilled_at) * HEARD_PER_S
        self._allowance = min(HEARD_PER_S, self._allowance + gained)
        self._refilled_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def is_news(self, address: Address, *, now: float) -> bool:
        """Whether to report the address now; remembers that it was reported."""
        last = self._reported_at.get(address)
        if last is not None and now - last < RUMOUR_AGAIN_S:
            return False
        self._reported_at.pop(address, None)
        if len(self._reported_at) >= RUMOURS_MAX:
            oldest, since = next(iter(self._reported_at.items()))
            if now - since < RUMOUR_AGAIN_S:
                # Full of fresh ones: a flood. To forget one would let the flood report it again.
                return False
            del self._reported_at[oldest]
        self._reported_at[address] = now
        return True

    def __len__(self) -> int:
        return len(self._reported_at)


class Ear(Protocol):
    """A multicast group joined: datagrams in, datagrams out. `Group` is the real one."""

    async def send(self, datagram: bytes) -> None:
        """Send to the group.

        Raises:
            OSError: the network is not there now.
        """
        ...

    async def receive(self) -> tuple[bytes, str]:
        """The next datagram and the host that sent it.

        Raises:
            OSError: the network is not there now.
        """
        ...


class Group:
    """An IPv4 multicast group on the local network. Close it by `close`."""

    def __init__(self, group: Address, *, interface: str = "0.0.0.0") -> None:  # noqa: S104
        """Join. `interface` is the address of the interface to use; the default lets the system.

        Raises:
            OSError: there is no such interface, or no multicast on it.
        """
        self._group = group
        self._socket = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._configure(interface)
        except OSError:
            self._socket.close()
            raise

    def _configure(self, interface: str) -> None:
        udp = self._socket
        # Several nodes of one machine share the port; each gets every datagram.
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        here = socket.inet_aton(interface)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        udp.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            socket.inet_aton(self._group.host) + here,
        )

    async def open(self) -> None:
        """Bind to the group itself, so that nothing sent to this machine alone is heard."""
        await self._socket.bind((self._group.host, self._group.port))

    async def send(self, datagram: bytes) -> None:
        """Send to the group, with TTL 1."""
        await self._socket.sendto(datagram, (self._group.host, self._group.port))

    async def receive(self) -> tuple[bytes, str]:
        """The next datagram and its sender; longer ones are cut and so refused later."""
        datagram, sender = await self._socket.recvfrom(ANNOUNCEMENT_BYTES + 1)
        return datagram, str(sender[0])

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()


async def announce_and_listen(
    ear: Ear,
    *,
    tag: bytes,
    gossip_port: int,
    found: Found,
    own: Callable[[Address], bool],
    rng: Random,
) -> NoReturn:
    """Announce this node and report others until cancelled. A lost network is waited for.

    The first announcements follow each other after 1, 2, 4, 8 s, then every 10 s.
    """
    rumours = Rumours(_refilled_at=trio.current_time())
    pace = Backoff(rng, most_s=ANNOUNCE_S)
    announcement = encode_announcement(tag, gossip_port)
    while True:
        await _announce(ear, announcement)
        with trio.move_on_after(pace.take_s()):
            await _listen(ear, tag, rumours, found, own)


async def _announce(ear: Ear, announcement: bytes) -> None:
    try:
        await ear.send(announcement)
    except OSError as error:
        log.debug("announcement not sent", reason=error.strerror or str(error))


async def _listen(
    ear: Ear, tag: bytes, rumours: Rumours, found: Found, own: Callable[[Address], bool]
) -> NoReturn:
    while True:
        try:
            datagram, host = await ear.receive()
        except OSError as error:
            log.debug("multicast not heard", reason=error.strerror or str(error))
            await trio.sleep(1.0)
            continue
        now = trio.current_time()
        if not rumours.admits(now=now):
            # A flood: stop reading, so that the kernel drops it and not we.
            await trio.sleep(FLOOD_PAUSE_S)
            continue
        port = decode_announcement(datagram, tag)
        if port is None:
            continue
        address = Address(host, port)
        if not own(address) and rumours.is_news(address, now=now):
            log.debug("heard of a node", address=str(address))
            found(address)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES, person=b"kith/announce").digest()
