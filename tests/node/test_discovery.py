"""Discovery: seeds looked up in bounded rounds, rumours checked and bounded."""

import contextlib
import io
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from node import discovery, logs
from node.discovery import (
    Backoff,
    Group,
    OwnAddresses,
    Round,
    Rumours,
    announce_and_listen,
    cluster_tag,
    decode_announcement,
    encode_announcement,
    resolve,
    seek,
)
from protocol import signing
from protocol.identity import Address

TAG = cluster_tag(signing.cluster_id("kith"))
OTHER_TAG = cluster_tag(signing.cluster_id("other"))
A, B = Address("10.0.0.1", 8401), Address("10.0.0.2", 8401)
NAME = Address("seeds.example", 8401)


LONELY_S = 600.0


def nobody(_address: Address) -> bool:
    return False


class Names:
    """A name service: answers, refuses, or stays silent."""

    def __init__(self, **answers: Sequence[Address] | None) -> None:
        self.answers = answers
        self.asked: list[float] = []

    async def __call__(self, seed: Address) -> Sequence[Address]:
        self.asked.append(trio.current_time())
        answer = self.answers.get(seed.host.partition(".")[0], ())
        if answer is None:
            await trio.sleep_forever()
        if not answer:
            raise OSError(-2, "Name or service not known")
        return answer or ()


# Backoff.


def test_waits_double_to_a_minute_and_start_over() -> None:
    class NoJitter(Random):
        def uniform(self, _a: float, b: float) -> float:
            return b

    backoff = Backoff(NoJitter())
    assert [backoff.take_s() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    backoff.reset()
    assert backoff.take_s() == 1


def test_jitter_only_shortens_and_by_a_quarter_at_most() -> None:
    for seed in range(200):
        backoff = Backoff(Random(seed))
        for full_s in (1, 2, 4, 8, 16, 32, 60, 60):
            assert 0.75 * full_s <= backoff.take_s() <= full_s


# Seeds.


@pytest.mark.trio
async def test_a_name_stands_for_all_its_addresses_in_order_without_ours() -> None:
    names = Names(seeds=[A, B, Address("10.0.0.3", 8401)])
    answer = await resolve([NAME, NAME], lambda address: address == B, by=names)
    assert answer == Round((A, Address("10.0.0.3", 8401)), ())


@pytest.mark.trio
async def test_addresses_need_no_name_service() -> None:
    six = Address("::1", 8401)
    assert await resolve([A, six], nobody) == Round((A, six), ())


@pytest.mark.trio
async def test_the_systems_resolver_knows_localhost() -> None:
    answer = await resolve([Address("localhost", 7)], nobody)
    assert Address("127.0.0.1", 7) in answer.found or Address("::1", 7) in answer.found


@pytest.mark.trio
async def test_a_silent_name_service_delays_a_round_by_five_seconds_and_no_seed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    silent, other = Address("silent", 1), Address("missing", 2)
    names = Names(seeds=[A], silent=None)
    start = trio.current_time()

    answer = await resolve([silent, other, NAME], nobody, by=names)

    assert trio.current_time() - start == pytest.approx(discovery.LOOK_UP_TIMEOUT_S)
    assert answer == Round(
        (A,), ((silent, "no answer within 5 s"), (other, "Name or service not known"))
    )


@pytest.mark.trio
async def test_seeds_are_looked_up_anew_in_every_round_while_needed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    names, found, needed = Names(), list[Address](), True
    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await seek(
                    [NAME],
                    needed=lambda: needed,
                    looked=lambda answers: found.extend(answers.found),
                    own=nobody,
                    backoff=Backoff(Random(1)),
                    by=names,
                )

            nursery.start_soon(run)
            await trio.sleep(5)
            assert found == []
            names.answers["seeds"] = [A]
            await trio.sleep(15)
            names.answers["seeds"] = [B]
            await trio.sleep(15)
            needed = False
            await trio.sleep(20)
            rounds = len(names.asked)
            nursery.cancel_scope.cancel()

    assert set(found) == {A, B}
    assert found == sorted(found, key=[A, B].index)
    # At 0, 1, 3, 7, 15 and 31 s, each a little early.
    assert rounds in (5, 6)
    assert len(names.asked) == rounds


@pytest.mark.trio
async def test_waits_are_held_to_what_who_is_alone_bears_and_grow_again_afterwards(
    autojump_clock: trio.testing.MockClock,
) -> None:
    names, rounds, backoff = Names(), list[Round](), Backoff(Random(1))

    def looked(answers: Round) -> None:
        rounds.append(answers)
        is_alone = trio.current_time() - start < LONELY_S
        backoff.hold_to(discovery.ALONE_MOST_S if is_alone else discovery.RETRY_MOST_S)

    start = trio.current_time()
    with trio.move_on_after(1_200):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await seek(
                    [NAME],
                    needed=lambda: True,
                    looked=looked,
                    own=nobody,
                    backoff=backoff,
                    by=names,
                )

            nursery.start_soon(run)
            await trio.sleep(LONELY_S)
            names.answers["seeds"] = [A]

    moments = [moment - start for moment in names.asked]
    waits = [later - earlier for earlier, later in pairwise(moments)]
    while_alone = [wait for wait, moment in zip(waits, moments, strict=False) if moment < LONELY_S]
    assert max(while_alone) <= discovery.ALONE_MOST_S
    assert min(while_alone[5:]) >= 0.75 * discovery.ALONE_MOST_S
    assert max(waits) > 0.75 * discovery.RETRY_MOST_S
    assert rounds[0] == Round((), ((NAME, "Name or service not known"),))
    assert rounds[-1] == Round((A,), ())


@pytest.mark.trio
async def test_a_name_that_stays_away_is_told_of_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    out, names = io.StringIO(), Names()
    logs.setup(level="warning", form="json", stream=out, keep_loggers=False)
    with trio.move_on_after(600):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await seek(
                    [NAME],
                    needed=lambda: True,
                    looked=lambda _round: None,
                    own=nobody,
                    backoff=Backoff(Random(1)),
                    by=names,
                )

            nursery.start_soon(run)
            await trio.sleep(300)
            names.answers["seeds"] = None

    told = [line for line in out.getvalue().splitlines() if "seed not found" in line]
    assert len(names.asked) > 10
    assert ["not known" in line for line in told] == [True, False]
    assert "no answer within 5 s" in told[1]


@pytest.mark.trio
async def test_after_calm_the_first_retries_are_quick_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    names, needed, start = Names(seeds=[A]), False, trio.current_time()
    with trio.move_on_after(30):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                backoff = Backoff(Random(1))
                for _ in range(9):
                    backoff.take_s()
                await seek(
                    [NAME],
                    needed=lambda: needed,
                    looked=lambda _round: None,
                    own=nobody,
                    backoff=backoff,
                    by=names,
                )

            nursery.start_soon(run)
            await trio.sleep(12)
            assert names.asked == []
            needed = True

    waits = [asked - start for asked in names.asked]
    assert waits[0] == pytest.approx(15)
    assert 0.75 <= waits[1] - waits[0] <= 1


# Our own addresses.


def test_what_we_listen_on_and_what_we_advertise_is_ours() -> None:
    own = OwnAddresses(A, Address("node.example", 9000), local=lambda _: True)
    assert own(A)
    assert own(Address("node.example", 9000))
    assert not own(B)
    assert not own(Address(A.host, 9000))


def test_a_wildcard_owns_every_address_of_this_machine_at_its_port() -> None:
    own = OwnAddresses(Address("::", 8401), A, local=lambda host: host == "10.0.0.2")
    assert own(B)
    assert not own(Address(B.host, 8402))
    assert not own(Address("10.0.0.3", 8401))


def test_loopback_is_local_and_a_documentation_address_is_not() -> None:
    assert discovery.is_local("127.0.0.1")
    assert not discovery.is_local("192.0.2.1")
    assert not discovery.is_local("node.example")


# Announcements.


@given(st.integers(min_value=1, max_value=65_535))
def test_an_announcement_reads_back(port: int) -> None:
    datagram = encode_announcement(TAG, port)
    assert len(datagram) == discovery.ANNOUNCEMENT_BYTES == 25
    assert decode_announcement(datagram, TAG) == port


def test_an_announcement_of_another_cluster_or_port_0_is_nothing() -> None:
    assert decode_announcement(encode_announcement(OTHER_TAG, 8401), TAG) is None
    assert decode_announcement(encode_announcement(TAG, 0), TAG) is None


@given(st.binary(max_size=60))
def test_garbage_is_nothing(datagram: bytes) -> None:
    assert decode_announcement(datagram, TAG) is None


@given(st.integers(0, 24), st.integers(1, 255))
def test_a_changed_byte_makes_it_nothing(place: int, change: int) -> None:
    datagram = bytearray(encode_announcement(TAG, 8401))
    datagram[place] ^= change
    assert decode_announcement(bytes(datagram), TAG) is None


def test_an_address_is_news_once_in_a_while() -> None:
    rumours = Rumours()
    told = [rumours.is_news(A, now=now) for now in (0.0, 1.0, 29.9, 30.0, 31.0)]
    assert told == [True, False, False, True, False]


def test_the_table_of_rumours_is_bounded_and_forgets_the_oldest() -> None:
    rumours = Rumours()
    many = [Address(f"10.1.{n // 250}.{n % 250}", 1) for n in range(discovery.RUMOURS_MAX + 1)]

    told = [rumours.is_news(address, now=0.0) for address in many]

    assert told == [True] * discovery.RUMOURS_MAX + [False]
    assert rumours.is_news(many[-1], now=discovery.RUMOUR_AGAIN_S)
    assert len(rumours) == discovery.RUMOURS_MAX


def test_more_datagrams_than_the_rate_are_not_looked_at() -> None:
    rumours = Rumours()
    at_once = [rumours.admits(now=0.0) for _ in range(discovery.HEARD_PER_S + 5)]
    assert at_once == [True] * discovery.HEARD_PER_S + [False] * 5
    assert rumours.admits(now=0.06)
    assert not rumours.admits(now=0.06)


# The loop, on a network of our own and on a real one.


class Air:
    """A multicast group in memory."""

    def __init__(self) -> None:
        self.heard = trio.Event()
        self.sent: list[tuple[float, bytes]] = []
        self.down = False
        self.reads = 0
        self._push, self._pull = trio.open_memory_channel[tuple[bytes, str]](10_000)

    async def send(self, datagram: bytes) -> None:
        if self.down:
            raise OSError(101, "Network is unreachable")
        self.sent.append((trio.current_time(), datagram))

    async def receive(self) -> tuple[bytes, str]:
        if self.down:
            raise OSError(101, "Network is unreachable")
        self.reads += 1
        return await self._pull.receive()

    def arrives(self, datagram: bytes, host: str) -> None:
        self._push.send_nowait((datagram, host))


@contextlib.asynccontextmanager
async def listening(ear: discovery.Ear, found: list[Address]) -> AsyncIterator[None]:
    async def run() -> None:
        await announce_and_listen(
            ear,
            tag=TAG,
            gossip_port=8401,
            found=found.append,
            own=lambda address: address == A,
            rng=Random(3),
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_others_are_reported_and_we_and_strangers_are_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    air, found = Air(), list[Address]()
    async with listening(air, found):
        air.arrives(encode_announcement(TAG, 8401), A.host)
        air.arrives(encode_announcement(OTHER_TAG, 8401), B.host)
        air.arrives(b"garbage", B.host)
        air.arrives(encode_announcement(TAG, 8401), B.host)
        air.arrives(encode_announcement(TAG, 8401), B.host)
        await trio.sleep(1)
    assert found == [B]


@pytest.mark.trio
async def test_announcements_slow_down_to_their_pace(
    autojump_clock: trio.testing.MockClock,
) -> None:
    air = Air()
    async with listening(air, []):
        await trio.sleep(100)
    # Five in the first 15 s, then one in 7.5 to 10 s.
    assert 13 <= len(air.sent) <= 17
    assert {datagram for _, datagram in air.sent} == {encode_announcement(TAG, 8401)}


@pytest.mark.trio
async def test_a_flood_is_left_unread(autojump_clock: trio.testing.MockClock) -> None:
    air, found = Air(), list[Address]()
    for n in range(5_000):
        air.arrives(encode_announcement(TAG, 8401), f"10.1.{n // 250}.{n % 250}")
    async with listening(air, found):
        await trio.sleep(10)
    assert discovery.HEARD_PER_S <= len(found) <= 11 * discovery.HEARD_PER_S
    assert air.reads < 400
    assert len(air.sent) >= 3


@pytest.mark.trio
async def test_a_network_that_is_down_is_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    air, found = Air(), list[Address]()
    air.down = True
    async with listening(air, found):
        await trio.sleep(30)
        air.down = False
        air.arrives(encode_announcement(TAG, 8401), B.host)
        await trio.sleep(12)
    assert found == [B]
    assert air.sent


@pytest.mark.trio
async def test_two_nodes_of_one_machine_find_each_other_by_multicast() -> None:
    group = Address("239.255.84.1", 48_402)
    try:
        ears = [Group(group, interface="127.0.0.1") for _ in range(2)]
        for ear in ears:
            await ear.open()
    except OSError as error:
        pytest.skip(f"no multicast here: {error}")
    found, heard = list[Address](), trio.Event()

    def hear(address: Address) -> None:
        found.append(address)
        heard.set()

    async def run(ear: Group, port: int) -> None:
        await announce_and_listen(
            ear,
            tag=TAG,
            gossip_port=port,
            found=hear if port == 1 else lambda _: None,
            own=lambda address: address.port == port,
            rng=Random(port),
        )

    try:
        with trio.move_on_after(10):
            async with trio.open_nursery() as nursery:
                for port, ear in enumerate(ears, start=1):
                    nursery.start_soon(run, ear, port)
                await heard.wait()
                nursery.cancel_scope.cancel()
    finally:
        for ear in ears:
            ear.close()
    assert found == [Address("127.0.0.1", 2)]
