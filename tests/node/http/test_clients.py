"""What one client may take from the others, and who makes room."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from node.http import HttpLimits, Response, SyncRoute
from node.http.allowance import Allowance
from node.http.clients import CANDIDATES_MAX, CLIENTS_KEPT_MAX, LOOK_PAUSE_S, Client, Clients

from .speaking import make_server, on_loopback, request


class Seat:
    """A connection: idle since a moment, at a request since one, or busy."""

    def __init__(
        self, idle_s: float | None = None, *, begun_s: float | None = None, held_bytes: int = 0
    ) -> None:
        self.idle_s = idle_s
        self.begun_s = begun_s
        self.held_bytes = held_bytes
        self.is_open = True
        self.asks = 0

    def spare_rank(self, late: float) -> float | None:
        self.asks += 1
        if self.idle_s is not None:
            return self.idle_s
        return None if self.begun_s is None or self.begun_s >= late else 1e12 + self.begun_s

    def cut_off(self) -> bool:
        self.is_open = self.held_bytes < 0
        return not self.is_open


class House:
    """The clients of a server, by host."""

    def __init__(self, limits: HttpLimits) -> None:
        self.clients: Clients[Seat] = Clients(limits)
        self.seats: dict[Seat, Client[Seat]] = {}

    def enter(self, host: str, seat: Seat | None = None, *, now: float = 100.0) -> Seat | str:
        client = self.clients.admit(host, now=now)
        if isinstance(client, str):
            return client
        seat = seat or Seat()
        self.clients.enter(client, seat)
        self.seats[seat] = client
        return seat

    def leave(self, seat: Seat) -> None:
        self.clients.leave(self.seats[seat], seat)


def test_a_full_house_closes_what_is_idle_for_longest() -> None:
    house = House(HttpLimits(connections_max=4))
    busy, young, old, older = Seat(), Seat(30.0), Seat(20.0), Seat(10.0)
    for number, seat in enumerate((busy, young, old, older)):
        house.enter(f"10.0.0.{number}", seat)

    told = [house.enter("10.0.0.9"), house.enter("10.0.0.9"), house.enter("10.0.0.9")]

    assert [isinstance(one, Seat) for one in told] == [True, True, True]
    assert [seat.is_open for seat in (busy, young, old, older)] == [True, False, False, False]
    assert house.clients.closed_for_room == 3
    assert house.enter("10.0.0.9") == "4 connections are open, which is the limit"
    assert busy.is_open
    assert house.clients.connections == 4


def test_a_request_that_does_not_get_complete_makes_room_after_all_that_is_idle() -> None:
    house = House(HttpLimits(connections_max=3, incomplete_s=2))
    slow, fresh, idle = Seat(begun_s=97.9), Seat(begun_s=98.1), Seat(99.0)
    for number, seat in enumerate((slow, fresh, idle)):
        house.enter(f"10.0.0.{number}", seat)

    house.enter("10.0.0.9")
    assert [seat.is_open for seat in (slow, fresh, idle)] == [True, True, False]
    # The look that found the idle one found the slow one, too.
    house.enter("10.0.0.9")
    assert [seat.is_open for seat in (slow, fresh)] == [False, True]
    assert isinstance(house.enter("10.0.0.9"), str)


def test_who_became_busy_since_the_look_is_left_alone() -> None:
    house = House(HttpLimits(connections_max=3))
    first, second, third = Seat(1.0), Seat(2.0), Seat(3.0)
    for seat in (first, second, third):
        house.enter("10.0.0.1", seat)
    house.enter("10.0.0.9")

    second.idle_s, third.held_bytes = None, -1
    assert isinstance(house.enter("10.0.0.9"), str)

    assert [seat.is_open for seat in (first, second, third)] == [False, True, True]


def test_a_flood_does_not_cost_a_look_through_all_for_each_connection() -> None:
    house = House(HttpLimits(connections_max=1_000, connections_per_client_max=1_000))
    for _ in range(1_000 - CANDIDATES_MAX):
        house.enter("10.0.0.1", Seat())
    spare = [Seat(float(number)) for number in range(CANDIDATES_MAX)]
    for seat in spare:
        house.enter("10.0.0.1", seat)
    counted = next(iter(house.seats))

    for _ in range(CANDIDATES_MAX):
        assert isinstance(house.enter("10.0.0.9"), Seat)
    assert counted.asks == 1
    for _ in range(50):
        assert isinstance(house.enter("10.0.0.9"), str)
    assert counted.asks == 2, "nobody was found: not looked again at once"
    assert isinstance(house.enter("10.0.0.9", now=100.0 + LOOK_PAUSE_S), str)
    assert counted.asks == 3


def test_a_client_with_all_its_connections_makes_room_itself() -> None:
    house = House(HttpLimits(connections_per_client_max=2))
    other, old, young = Seat(1.0), Seat(2.0), Seat(3.0)
    house.enter("10.0.0.2", other)
    house.enter("10.0.0.1", young)
    house.enter("10.0.0.1", old)

    house.enter("10.0.0.1")

    assert [seat.is_open for seat in (other, old, young)] == [True, False, True]
    young.idle_s = None
    assert house.enter("10.0.0.1") == "2 connections are open from 10.0.0.1, the limit"


def test_addresses_of_one_ipv6_network_are_one_client() -> None:
    house = House(HttpLimits(connections_per_client_max=2))
    house.enter("2001:db8::1")
    house.enter("2001:db8::ffff:2")

    assert house.enter("2001:db8::3") == ("2 connections are open from 2001:db8::/64, the limit")
    assert isinstance(house.enter("2001:db8:0:1::1"), Seat)
    assert isinstance(house.enter("192.0.2.1"), Seat)


def test_who_holds_most_bytes_is_closed_and_nobody_else() -> None:
    house = House(HttpLimits(held_bytes_max=800))
    good, bad, worse = Seat(held_bytes=250), Seat(held_bytes=200), Seat(held_bytes=300)
    house.enter("10.0.0.1", good)
    for seat in (bad, worse):
        house.enter("10.0.0.2", seat)

    house.clients.hold(250)
    house.clients.hold(500)
    assert all(seat.is_open for seat in (good, bad, worse))
    house.clients.hold(51)

    assert [seat.is_open for seat in (good, bad, worse)] == [True, True, False]
    assert house.clients.connections == 2


def test_an_allowance_is_kept_when_a_client_goes_and_comes_again() -> None:
    house = House(HttpLimits(requests_per_s=1, requests_burst=2))
    seat = house.enter("10.0.0.1")
    assert isinstance(seat, Seat)
    allowance = house.seats[seat].allowance
    assert allowance is not None
    assert [allowance.take(0.0) for _ in range(3)] == [0.0, 0.0, 1.0]

    house.leave(seat)
    house.leave(seat)
    again = house.enter("10.0.0.1")

    assert isinstance(again, Seat)
    assert house.seats[again].allowance is allowance
    assert (house.clients.known, house.clients.connections) == (1, 1)


def test_clients_that_went_are_forgotten_in_the_order_in_which_they_went() -> None:
    house = House(HttpLimits(connections_max=CLIENTS_KEPT_MAX + 1))
    seats = [house.enter(f"10.{n >> 8}.{n & 255}.1") for n in range(CLIENTS_KEPT_MAX + 1)]
    for seat in seats:
        assert isinstance(seat, Seat)
        house.leave(seat)

    assert house.clients.known == CLIENTS_KEPT_MAX
    kept = [house.clients.admit(host, now=0) for host in ("10.0.0.1", "10.0.1.1")]
    assert [one in house.seats.values() for one in kept] == [False, True]


@pytest.mark.parametrize(
    ("limits", "host", "is_limited"),
    [
        (HttpLimits(), "192.0.2.1", True),
        (HttpLimits(), "2001:db8::1", True),
        (HttpLimits(), "127.0.0.1", False),
        (HttpLimits(), "127.8.9.1", False),
        (HttpLimits(), "::1", False),
        (HttpLimits(loopback_is_limited=True), "127.0.0.1", True),
        (HttpLimits(loopback_is_limited=True), "::1", True),
        (HttpLimits(requests_per_s=0), "192.0.2.1", False),
    ],
)
def test_whose_requests_are_limited(limits: HttpLimits, host: str, is_limited: bool) -> None:
    client = Clients[Seat](limits).admit(host, now=0)
    assert isinstance(client, Client)
    assert (client.allowance is not None) == is_limited


@given(
    rate=st.floats(0.5, 1_000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 0.5), max_size=200),
)
def test_an_allowance_never_gives_more_than_burst_and_rate_and_waits_exactly(
    rate: float, burst: int, gaps: list[float]
) -> None:
    allowance, now, taken = Allowance(rate, burst), 1_000.0, 0
    for gap in gaps:
        now += gap
        wait_s = allowance.take(now)
        taken += wait_s == 0.0
        assert taken <= burst + rate * (now - 1_000.0) + 1e-6
        if wait_s:
            assert allowance.take(now + wait_s + 1e-6) == 0.0
            now += wait_s + 1e-6
            taken += 1


def test_an_allowance_nobody_used_is_full() -> None:
    allowance = Allowance(10, 3)

    assert [allowance.take(50.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert [allowance.take(90.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]


@pytest.mark.trio
async def test_requests_beyond_the_allowance_are_answered_429_on_the_same_connection() -> None:
    limits = HttpLimits(requests_per_s=0.01, requests_burst=3, loopback_is_limited=True)
    async with on_loopback(make_server(limits=limits)) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/hello") * 5)
        answers = [await client.answer() for _ in range(5)]
        other = await (await kith.connect()).get("/hello")

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].error["code"] == other.error["code"] == "rate_limited"
    assert answers[3].headers["retry-after"] in ("99", "100")
    assert answers[3].error["definite"] is True


@pytest.mark.trio
async def test_idle_connections_make_room_for_new_ones_and_busy_ones_do_not() -> None:
    limits = HttpLimits(connections_max=3)
    server = make_server(limits=limits)
    async with on_loopback(server) as kith:
        busy, idle, fresh = [await kith.connect() for _ in range(3)]
        await idle.get("/hello")
        await busy.get("/hello")
        await busy.send(request("GET", "/hang"))
        await trio.testing.wait_all_tasks_blocked(0.01)

        first, second = await kith.connect(), await kith.connect()
        answers = [(await first.get("/hello")).status, (await second.get("/hello")).status]

        assert answers == [200, 200]
        assert await idle.ended()
        assert await fresh.ended()
        assert (server.connections, server.closed_for_room) == (3, 2)


@pytest.mark.trio
async def test_answers_that_nobody_takes_are_bounded_in_all() -> None:
    # The kernel takes some 4 MB of each; what it does not take is what is held.
    big = SyncRoute("GET", "/big", lambda _request: Response(200, bytes(12_000_000)))
    server = make_server(big, limits=HttpLimits(held_bytes_max=20_000_000))
    async with on_loopback(server) as kith:
        readers = [await kith.connect() for _ in range(4)]
        for reader in readers:
            await reader.send(request("GET", "/big"))
            await trio.testing.wait_all_tasks_blocked(0.05)
        closed = server.closed_for_room

        assert (await (await kith.connect()).get("/hello")).status == 200
        assert 1 <= closed <= 3


@pytest.mark.trio
async def test_bodies_that_never_end_are_bounded_in_all() -> None:
    server = make_server(limits=HttpLimits(held_bytes_max=100_000))
    async with on_loopback(server) as kith:
        for _ in range(6):
            client = await kith.connect()
            await client.send(request("POST", "/show", "Content-Length: 60000") + bytes(30_000))
            await trio.testing.wait_all_tasks_blocked(0.02)

        assert (server.closed_for_room, server.connections) == (3, 3)
        answer = await (await kith.connect()).get("/hello")
        assert answer.status == 200
