"""The asking end of streams: kept connections to peers, bounded, and requests over them.

Every connection is in exactly one of two states: *idle*, in the two tables below, or *leased* to
one request. Leases are given and taken back by synchronous functions only, so that a request can
be cancelled at any await and nothing leaks (httpcore's pool lost connections between two awaits).

Rules this module keeps:

1. `open` counts a connection from before it is opened until after it is closed: the number of
   sockets never exceeds `open_max`.
2. A lease is handed to a waiting request directly, first come first served; a request that is
   cancelled in that very moment hands it on.
3. A kept connection that turns out dead is opened again once, if no byte of an answer came. The
   peer may then see a request twice; all requests between peers can be repeated.
"""

from dataclasses import dataclass
from typing import NoReturn

import trio

from protocol.errors import RemoteProtocolError
from protocol.identity import Address, NodeId
from protocol.limits import FRAME_MAX
from protocol.wire.handshake import Credentials, Session

from .errors import (
    FrameError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PoolBusyError,
)
from .frames import FrameStream
from .sessions import NO_LORE, KeyLore, open_session


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """What the pool may hold. Times in seconds."""

    open_max: int = 500
    """Connections in all, idle ones included; above it the least recently used idle one goes."""
    kept_max: int = 200
    """Idle connections that are kept; enough to talk to 200 peers without opening anew."""
    per_peer_max: int = 2
    """To one address and expected node: a long transfer does not stop a short question."""
    waiting_max: int = 1_000
    """Requests that may wait for a connection."""
    wait_s: float = 10.0
    """The longest that a request waits for a connection, within its own time."""
    connect_s: float = 5.0
    """For connecting and for the handshake, together."""
    idle_s: float = 60.0
    """After so long without a request a kept connection is closed."""


@dataclass(slots=True)
class PoolCounters:
    """What happened since the start; `open` and `idle` are what is open now."""

    open: int = 0
    idle: int = 0
    opened: int = 0
    reused: int = 0
    reopened: int = 0
    """Kept connections that were found dead."""
    failed: int = 0
    """Requests that ended in a `PeerError` other than a timeout."""
    timeouts: int = 0
    evicted: int = 0
    """Idle connections closed to stay within `open_max` and `kept_max`."""
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered, and how long it took."""

    body: bytes
    session: Session
    elapsed_s: float
    """From sending the request until the answer was whole, without opening the connection."""
    connect_s: float
    """Connecting and handshake: two round trips and four signatures; 0 on a kept connection."""
    reused: bool


_Key = tuple[Address, NodeId | None]


class _Link:
    """A connection, or the right to open one."""

    __slots__ = ("frames", "idle_since", "key", "session", "stream")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.stream: trio.SocketStream | None = None
        self.frames: FrameStream | None = None
        self.session: Session | None = None
        self.idle_since = 0.0

    @property
    def healthy(self) -> bool:
        """Whether a kept connection looks alive: neither an end nor stray bytes to read."""
        if self.stream is None or self.frames is None or not self.frames.clean:
            return False
        return not self.stream.socket.is_readable()

    def close(self) -> None:
        """Close at once, without awaiting; the link can be opened again."""
        if self.stream is not None:
            self.stream.socket.close()
        self.stream = self.frames = self.session = None


class _Waiter:
    """A request that waits for a lease."""

    __slots__ = ("granted", "key", "link")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.granted = trio.Event()
        self.link: _Link | None = None


class StreamPool:
    """Requests to peers over kept connections. Run `run` beside it, to close idle ones.

    Args:
        credentials: who we are; `renew` replaces it after a rotation.
        limits: what the pool may hold.
        lore: what is known of the keys of others.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        limits: PoolLimits | None = None,
        lore: KeyLore = NO_LORE,
    ) -> None:
        self.credentials = credentials
        self._lore = lore
        self.counters = PoolCounters()
        self._limits = limits or PoolLimits()
        self._idle: dict[_Link, None] = {}
        """Least recently used first."""
        self._idle_of: dict[_Key, list[_Link]] = {}
        self._open_of: dict[_Key, int] = {}
        self._waiting: dict[_Waiter, None] = {}
        self._became_idle = trio.Event()
        self._closed = False

    async def request(
        self, to: Address, expected: NodeId | None, body: bytes, timeout_s: float
    ) -> Answer:
        """Ask a peer and wait for its answer.

        Args:
            to: where; a host name is resolved without blocking.
            expected: the only node whose answer is wanted, or None for whoever proves to be there.
            body: the request, at most `FRAME_MAX` bytes.
            timeout_s: for everything: waiting, connecting, asking.

        Raises:
            PeerError: see `errors` for the kinds and whom to blame.
            ValueError: `body` is too long.
            trio.ClosedResourceError: the pool was closed.
        """
        if len(body) > FRAME_MAX:
            raise ValueError(f"a request of {len(body)} bytes is longer than {FRAME_MAX}")
        deadline = trio.current_time() + timeout_s
        try:
            link = await self._lease((to, expected), deadline)
            done = False
            try:
                answer = await self._ask(link, body, deadline)
                done = True
            finally:
                self._take_back(link, keep=done)
        except PeerTimeoutError:
            self.counters.timeouts += 1
            # The way there may be cut without a word; its other connections would hang as well.
            self._drop_idle_of((to, expected))
            raise
        except PeerError:
            self.counters.failed += 1
            raise
        return answer

    async def run(self) -> NoReturn:
        """Close what has been idle for too long, for ever; closes the pool when cancelled."""
        try:
            while True:
                if not self._idle:
                    self._became_idle = trio.Event()
                    await self._became_idle.wait()
                    continue
                oldest = next(iter(self._idle))
                await trio.sleep_until(oldest.idle_since + self._limits.idle_s)
                self._close_expired()
        finally:
            self.close()

    def renew(self, credentials: Credentials) -> None:
        """Go on as somebody with another key: what was opened with the old one is refused soon."""
        self.credentials = credentials
        for link in list(self._idle):
            self._drop(self._take_idle(link))
        self._serve_waiting()

    def close(self) -> None:
        """Close all idle connections; leased ones when their request ends, and none is opened."""
        self._closed = True
        for link in list(self._idle):
            self._drop(self._take_idle(link))
        for waiter in self._waiting:
            waiter.granted.set()
        self._waiting.clear()

    async def _lease(self, key: _Key, deadline: float) -> _Link:
        self._check_open()
        link = self._grant(key)
        if link is not None:
            return link
        if len(self._waiting) >= self._limits.waiting_max:
            raise PoolBusyError(key[0], f"{len(self._waiting)} requests wait for a connection")
        waiter = _Waiter(key)
        self._waiting[waiter] = None
        try:
            with trio.move_on_at(min(deadline, trio.current_time() + self._limits.wait_s)):
                await waiter.granted.wait()
        except BaseException:
            self._waiting.pop(waiter, None)
            if waiter.link is not None:
                self._take_back(waiter.link, keep=waiter.link.stream is not None)
            raise
        self._waiting.pop(waiter, None)
        if waiter.link is None:
            self._check_open()
            raise PoolBusyError(key[0], "all connections stayed busy")
        return waiter.link

    def _grant(self, key: _Key) -> _Link | None:
        """An idle link, or the right to open one, or None if the limits forbid it now."""
        while links := self._idle_of.get(key):
            link = self._take_idle(links[-1])
            if link.healthy:
                return link
            self.counters.reopened += 1
            self._drop(link)
        if self._open_of.get(key, 0) >= self._limits.per_peer_max:
            return None
        if self.counters.open >= self._limits.open_max:
            if not self._idle:
                return None
            self._evict()
        self.counters.open += 1
        self._open_of[key] = self._open_of.get(key, 0) + 1
        return _Link(key)

    def _take_back(self, link: _Link, *, keep: bool) -> None:
        """End a lease, and give to those who wait what has become free."""
        if keep and not self._closed:
            link.idle_since = trio.current_time()
            self._idle[link] = None
            self._idle_of.setdefault(link.key, []).append(link)
            self.counters.idle += 1
            self._became_idle.set()
        else:
            self._drop(link)
        self._serve_waiting()
        while len(self._idle) > self._limits.kept_max:
            self._evict()

    def _serve_waiting(self) -> None:
        for waiter in list(self._waiting):
            if not self._idle and self.counters.open >= self._limits.open_max:
                return
            waiter.link = self._grant(waiter.key)
            if waiter.link is not None:
                del self._waiting[waiter]
                waiter.granted.set()

    def _take_idle(self, link: _Link) -> _Link:
        del self._idle[link]
        links = self._idle_of[link.key]
        links.remove(link)
        if not links:
            del self._idle_of[link.key]
        self.counters.idle -= 1
        return link

    def _drop(self, link: _Link) -> None:
        link.close()
        self.counters.open -= 1
        self._open_of[link.key] -= 1
        if not self._open_of[link.key]:
            del self._open_of[link.key]

    def _evict(self) -> None:
        self._drop(self._take_idle(next(iter(self._idle))))
        self.counters.evicted += 1

    def _drop_idle_of(self, key: _Key) -> None:
        for link in list(self._idle_of.get(key, ())):
            self._drop(self._take_idle(link))
        self._serve_waiting()

    def _close_expired(self) -> None:
        now = trio.current_time()
        for link in list(self._idle):
            if link.idle_since + self._limits.idle_s > now:
                break
            self._drop(self._take_idle(link))
            self.counters.expired += 1
        self._serve_waiting()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream pool was closed")

    async def _ask(self, link: _Link, body: bytes, deadline: float) -> Answer:
        try:
            with trio.fail_at(deadline):
                if link.session is not None and self._lore.newer(link.session.chain) is not None:
                    link.close()
                if link.frames is not None and link.session is not None:
                    answer = await self._ask_kept(link, link.frames, link.session, body)
                    if answer is not None:
                        return answer
                    self.counters.reopened += 1
                    link.close()
                return await self._ask_anew(link, body)
        except trio.TooSlowError:
            raise PeerTimeoutError(link.key[0], "no answer in time") from None

    async def _ask_kept(
        self, link: _Link, frames: FrameStream, session: Session, body: bytes
    ) -> Answer | None:
        """Ask over a kept connection; None if it was dead and should be opened again."""
        began = trio.current_time()
        try:
            answer = await _exchange(link.key[0], frames, body)
        except PeerUnreachableError:
            if frames.clean:
                return None
            raise
        self.counters.reused += 1
        return Answer(answer, session, trio.current_time() - began, 0.0, reused=True)

    async def _ask_anew(self, link: _Link, body: bytes) -> Answer:
        began = trio.current_time()
        frames, session, proof = await self._open(link)
        opened = trio.current_time()
        answer = await _exchange(link.key[0], frames, proof, body)
        return Answer(answer, session, trio.current_time() - opened, opened - began, reused=False)

    async def _open(self, link: _Link) -> tuple[FrameStream, Session, bytes]:
        to, expected = link.key
        with trio.fail_after(self._limits.connect_s):
            try:
                # No await between the stream's birth and its place in the link.
                link.stream = await trio.open_tcp_stream(to.host, to.port)
            except (OSError, ValueError, OverflowError) as error:
                raise PeerUnreachableError(to, f"no connection ({error})") from None
            link.frames = FrameStream(link.stream)
            try:
                opened = await open_session(
                    link.frames, self.credentials, expected, to=to, lore=self._lore
                )
            except (RemoteProtocolError, FrameError) as error:
                raise PeerRefusedError(to, error.code, str(error)) from None
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise PeerUnreachableError(to, "the stream broke in the handshake") from None
        link.session = opened.session
        self.counters.opened += 1
        return link.frames, opened.session, opened.proof


async def _exchange(to: Address, frames: FrameStream, *payloads: bytes) -> bytes:
    """Send, and wait for one frame."""
    try:
        await frames.send(*payloads)
        answer = await frames.receive()
    except FrameError as error:
        if error.code == "oversized":
            raise PeerRefusedError(to, error.code, str(error)) from None
        raise PeerUnreachableError(to, str(error)) from None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise PeerUnreachableError(to, "the stream broke") from None
    if answer is None:
        raise PeerUnreachableError(to, "the stream was closed instead of an answer")
    return answer
