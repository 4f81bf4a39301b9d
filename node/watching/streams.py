"""Streams of events: who listens, and how far each has come.

Rules this module keeps:

1. A stream holds a place in the ring of events and no events of its own: what waits for a slow
   reader is what its connection took, at most `HttpLimits.stream_bytes_max`, and the ring, which
   all share.
2. A reader that falls out of the ring is cut off and told; it may come back and begin anew.
3. Streams are served in turns, so that one that comes back after long does not hold up others.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

import orjson
import trio

from node.http import ApiError, End, Outlet
from node.transport.addresses import origin_of

from .events import Event, Record
from .limits import WatchLimits

RETRY_AFTER_S = 5
RECONNECT_MS = 2_000
"""What a client is asked to wait before it comes back."""
PUSHED_BYTES_MAX = 16 * 1024
"""What is handed to a connection before it has taken it all: a quarter of what would cut it off."""
TURN_EVENTS = 64
"""Events looked at for one stream before the next has its turn."""
WORDS = {
    "slow": "you read more slowly than things happen here; come back with Last-Event-ID, and read "
    "anew if that is answered by reset",
    "draining": "this node ends; ask another one, where the stream begins with reset",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a stream is to have; empty: all."""

    kinds: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def admits(self, event: Event) -> bool:
        """Whether it is to have that one."""
        if self.kinds and event.kind not in self.kinds:
            return False
        return not self.services or event.service in self.services


class Stream:
    """One listener; the source of one HTTP answer."""

    __slots__ = ("_streams", "is_stuck", "origin", "outlet", "place", "since", "wanted")

    def __init__(self, streams: "Streams", wanted: Wanted, since: str | None, origin: str) -> None:
        self._streams = streams
        self.wanted = wanted
        self.since = since
        self.origin = origin
        self.outlet: Outlet | None = None
        self.place = 0
        """The number of the next event that it has not been given."""
        self.is_stuck = False
        """It has been given as much as its connection takes for now."""

    def opened(self, outlet: Outlet) -> None:
        """See `StreamSource`."""
        self.outlet = outlet
        self._streams.opened(self)

    def drained(self) -> None:
        """See `StreamSource`."""
        if self.is_stuck:
            self.is_stuck = False
            self._streams.wake()

    def last_words(self, why: End) -> bytes:
        """See `StreamSource`."""
        text = WORDS.get(why)
        if text is None:
            return b""
        data = orjson.dumps({"reason": why, "message": text})
        return b"event: closing\ndata: %b\n\n" % data

    def closed(self, why: End) -> None:
        """See `StreamSource`."""
        self._streams.closed(self, why)


class Streams:
    """All streams of one node. Start `run`; call `wake` when there are new events."""

    def __init__(self, record: Record, limits: WatchLimits) -> None:
        self.record = record
        self.ends: Counter[End] = Counter()
        self.opened_count = 0
        self.refused = 0
        self._limits = limits
        self._streams: dict[Stream, None] = {}
        """Those that have begun."""
        self._count = 0
        self._of_origin: Counter[str] = Counter()
        self._news = trio.Event()
        self._silent_since = 0.0
        self._beat_at = float("-inf")

    @property
    def count(self) -> int:
        """Streams that are open, or about to be."""
        return self._count

    def admit(self, wanted: Wanted, since: str | None, *, client: str) -> Stream:
        """A stream for a client that asked for one; the server opens it, or closes it.

        Args:
            wanted: Which events.
            since: The id of the last event that it has, if it says so.
            client: Its address.

        Raises:
            ApiError: 503 or 429, a limit is reached.
        """
        limits, origin = self._limits, origin_of(client)
        headers = (("Retry-After", str(RETRY_AFTER_S)),)
        if self._count >= limits.streams_max:
            self.refused += 1
            message = f"{self._count} streams of events are open, the limit; come back later"
            raise ApiError(503, "overloaded", message, headers=headers)
        if self._of_origin[origin] >= limits.streams_per_client_max:
            self.refused += 1
            most = limits.streams_per_client_max
            message = f"{most} streams of events are open from {origin}, the limit; close some"
            raise ApiError(429, "rate_limited", message, headers=headers)
        self._count += 1
        self._of_origin[origin] += 1
        return Stream(self, wanted, since, origin)

    def opened(self, stream: Stream) -> None:
        """Say where it begins; what is missing is sent by `run`."""
        record = self.record
        record.start()
        self._streams[stream] = None
        self.opened_count += 1
        begins = None if stream.since is None else record.after(stream.since)
        stream.place = record.next_number if begins is None else begins
        hello = f": kith\nretry: {RECONNECT_MS}\nid: {record.id_of(stream.place - 1)}\n"
        if stream.since is not None and begins is None:
            reason = "what followed that event is not kept here; read what you need anew"
            data = orjson.dumps({"reason": reason, "since": stream.since}).decode()
            hello += f"event: reset\ndata: {data}\n"
        self._push(stream, f"{hello}\n".encode())
        self.wake()

    def closed(self, stream: Stream, why: End) -> None:
        """It is over."""
        self._streams.pop(stream, None)
        self.ends[why] += 1
        self._count -= 1
        self._of_origin[stream.origin] -= 1
        if not self._of_origin[stream.origin]:
            del self._of_origin[stream.origin]
        if not self._streams:
            self._silent_since = trio.current_time()

    def wake(self) -> None:
        """There is something to send."""
        if self._streams:
            self._news.set()

    def end(self) -> None:
        """The node ends: say so on all streams."""
        for stream in list(self._streams):
            if stream.outlet is not None:
                stream.outlet.end("draining")

    async def run(self) -> NoReturn:
        """Give each stream its events, and a sign of life, until cancelled."""
        while True:
            with trio.move_on_at(self._beat_at):
                await self._news.wait()
            self._news = trio.Event()
            if trio.current_time() >= self._beat_at:
                self._beat_at = trio.current_time() + self._limits.heartbeat_s
                self._beat()
            await self._serve_all()

    async def _serve_all(self) -> None:
        """One turn for each stream."""
        for stream in list(self._streams):
            if self._serve(stream):
                self._news.set()
            await trio.lowlevel.checkpoint()

    def _serve(self, stream: Stream) -> bool:
        record, outlet = self.record, stream.outlet
        if outlet is None or not outlet.is_open:
            return False
        if stream.place < record.first_number:
            outlet.end("slow")
            return False
        if stream.is_stuck:
            return False
        for looked, event in enumerate(record.since(stream.place)):
            if looked == TURN_EVENTS:
                return True
            if outlet.waiting_bytes > PUSHED_BYTES_MAX:
                stream.is_stuck = True
                return False
            stream.place = event.number + 1
            if stream.wanted.admits(event):
                self._push(stream, record.encoded(event))
        return False

    def _push(self, stream: Stream, piece: bytes) -> None:
        if stream.outlet is not None:
            stream.outlet.push(piece)

    def _beat(self) -> None:
        """Signs of life, which also say up to where a stream has come, whatever it filters."""
        limits, record = self._limits, self.record
        for stream in list(self._streams):
            if not stream.is_stuck:
                beat = f": still here\nid: {record.id_of(stream.place - 1)}\n\n"
                self._push(stream, beat.encode())
        silent_s = trio.current_time() - self._silent_since
        if record.is_on and not self._count and silent_s > limits.linger_s:
            record.stop()
