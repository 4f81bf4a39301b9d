"""Who is connected from where, what each may still do, and who makes room for others.

A client is an address, in IPv6 a /64: what one machine or one customer has, however many
connections it opens. Everything that one client could take from the others is counted here.

Rules this module keeps:

1. Nothing is refused to one client because of what another took, as long as room can be made: for
   a connection by closing the one that is idle for longest, for bytes by closing those that hold
   most, of the client that holds most.
2. A connection whose request is complete, in service or parked, is never closed for another.
3. The table is bounded: by the connections, and by `CLIENTS_KEPT_MAX` for clients that went. Those
   are kept so that a client does not get a new allowance by connecting anew.
"""

from collections import deque
from collections.abc import Iterable
from heapq import nsmallest
from operator import attrgetter, itemgetter
from typing import Generic, Protocol, TypeAlias, TypeVar

from node.transport.addresses import origin_of

from .allowance import Allowance
from .limits import HttpLimits

CLIENTS_KEPT_MAX = 4_096
"""Clients without a connection whose allowance is remembered; whoever went first is forgotten. An
allowance is full again after burst / rate seconds, so hardly anything is lost with it."""
CANDIDATES_MAX = 64
"""Connections to close that are found in one look through all of them, so that a flood does not
cost a look for each connection."""
LOOK_PAUSE_S = 0.1
"""Time between two looks when the first found nobody."""
_LOOPBACK = ("127.", "::/64")


class Occupant(Protocol):
    """An open connection."""

    @property
    def held_bytes(self) -> int:
        """What it keeps of a request that is not complete, or of an answer that is not taken."""
        ...

    def spare_rank(self, late: float) -> float | None:
        """How soon it may be closed for another, smaller is sooner; None: not now.

        `late` is when a request must have begun to be given up if it is not complete.
        """
        ...

    def cut_off(self) -> bool:
        """Close it at once; False, and nothing was done, if it has just become busy."""
        ...


C = TypeVar("C", bound=Occupant)


class Client(Generic[C]):
    """One origin."""

    __slots__ = ("allowance", "connections", "origin")

    def __init__(self, origin: str, allowance: Allowance | None) -> None:
        self.origin = origin
        self.allowance = allowance
        """None: as many requests as it likes."""
        self.connections: dict[C, None] = {}

    @property
    def held_bytes(self) -> int:
        """What its connections keep."""
        return sum(connection.held_bytes for connection in self.connections)


_Ranked: TypeAlias = tuple[float, Client[C], C]


class Clients(Generic[C]):
    """All clients of one server.

    Args:
        limits: How much is admitted.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._here: dict[str, Client[C]] = {}
        self._gone: dict[str, Client[C]] = {}
        """In the order in which they went."""
        self._candidates: deque[_Ranked[C]] = deque()
        self._next_look = 0.0
        self._held_bytes = 0
        self.connections = 0
        self.closed_for_room = 0
        """Connections that were closed for others."""

    @property
    def known(self) -> int:
        """How many clients are in the table."""
        return len(self._here) + len(self._gone)

    def all_connections(self) -> list[C]:
        """Every open connection."""
        return [one for client in self._here.values() for one in client.connections]

    def admit(self, host: str, *, now: float) -> Client[C] | str:
        """The client at `host`, for `enter`; or why it may not connect now."""
        origin = origin_of(host)
        client = self._here.get(origin) or self._gone.get(origin)
        if client is None:
            client = Client(origin, self._allowance(origin))
        theirs = len(client.connections)
        if theirs >= self._limits.connections_per_client_max:
            if not self._close_one_of(client, now):
                return f"{theirs} connections are open from {origin}, the limit"
        elif self.connections >= self._limits.connections_max and not self._close_any(now):
            return f"{self.connections} connections are open, which is the limit"
        return client

    def enter(self, client: Client[C], connection: C) -> None:
        """A connection is open. No wait between `admit` and this."""
        if not client.connections:
            self._gone.pop(client.origin, None)
            self._here[client.origin] = client
        client.connections[connection] = None
        self.connections += 1

    def leave(self, client: Client[C], connection: C) -> None:
        """A connection is closed, or about to be. Harmless when repeated."""
        if connection not in client.connections:
            return
        del client.connections[connection]
        self.connections -= 1
        if client.connections:
            return
        del self._here[client.origin]
        if client.allowance is not None:
            self._gone[client.origin] = client
            if len(self._gone) > CLIENTS_KEPT_MAX:
                del self._gone[next(iter(self._gone))]

    def hold(self, more_bytes: int) -> None:
        """Note that a connection keeps so many bytes more, or fewer; close some if need be."""
        self._held_bytes += more_bytes
        if more_bytes > 0 and self._held_bytes > self._limits.held_bytes_max:
            self._close_holders()

    def _allowance(self, origin: str) -> Allowance | None:
        rate = self._limits.requests_per_s
        if rate == 0 or (origin.startswith(_LOOPBACK) and not self._limits.loopback_is_limited):
            return None
        return Allowance(rate, self._limits.requests_burst)

    def _close_one_of(self, client: Client[C], now: float) -> bool:
        late = now - self._limits.incomplete_s
        ranked = _ranked([client], late)
        return bool(ranked) and self._close(client, min(ranked, key=itemgetter(0))[2])

    def _close_any(self, now: float) -> bool:
        late = now - self._limits.incomplete_s
        while True:
            while self._candidates:
                rank, client, connection = self._candidates.popleft()
                if connection.spare_rank(late) == rank and self._close(client, connection):
                    return True
            if now < self._next_look:
                return False
            ranked = _ranked(self._here.values(), late)
            self._candidates.extend(nsmallest(CANDIDATES_MAX, ranked, key=itemgetter(0)))
            if len(self._candidates) < CANDIDATES_MAX:
                self._next_look = now + LOOK_PAUSE_S

    def _close_holders(self) -> None:
        """Close those that keep most, until an eighth of what may be kept is free."""
        target = self._limits.held_bytes_max * 7 // 8
        for client in sorted(self._here.values(), key=attrgetter("held_bytes"), reverse=True):
            holders = sorted(client.connections, key=attrgetter("held_bytes"), reverse=True)
            for connection in holders:
                if self._held_bytes <= target:
                    return
                if connection.held_bytes:
                    self._close(client, connection)

    def _close(self, client: Client[C], connection: C) -> bool:
        held_bytes = connection.held_bytes
        if not connection.cut_off():
            return False
        self.leave(client, connection)
        self._held_bytes -= held_bytes
        self.closed_for_room += 1
        return True


def _ranked(clients: Iterable[Client[C]], late: float) -> list[_Ranked[C]]:
    """The connections that may be closed for others."""
    found: list[_Ranked[C]] = []
    for client in clients:
        for connection in client.connections:
            rank = connection.spare_rank(late)
            if rank is not None:
                found.append((rank, client, connection))
    return found
