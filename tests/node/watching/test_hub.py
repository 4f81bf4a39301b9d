"""The hub of long polls by itself: who is woken, who is not, and that nobody is lost."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from node.http import ApiError, Response
from node.watching.hub import Hub, Look, Watch, Watcher
from node.watching.limits import SPREAD, WatchLimits

WAIT_S = 60.0


class World:
    """Services whose answer is a text, and those who watch them."""

    def __init__(self, limits: WatchLimits | None = None) -> None:
        self.texts: dict[str, str] = {}
        self.indexes: Counter[str] = Counter()
        self.hub = Hub(limits or WatchLimits(), Random(1))
        self.looks = 0
        self.got: list[tuple[str, str]] = []

    def set(self, service: str, text: str) -> None:
        if self.texts.get(service) != text:
            self.indexes[service] += 1
        self.texts[service] = text
        self.hub.changed([service])

    def look(self, service: str) -> Look:
        self.looks += 1
        text = self.texts.get(service, "")
        response = Response(200, text.encode())
        return Look(str(self.indexes[service]), text.encode(), lambda _asked: response)

    def park(
        self, name: str, service: str, *, client: str = "a", wait_s: float = WAIT_S
    ) -> Watcher:
        watch = Watch(service, (), lambda: self.look(service))
        watcher = self.hub.park(watch, self.look(service), client=client, wait_s=wait_s)
        watcher.begin(lambda answer: self._take(name, answer))
        return watcher

    def _take(self, name: str, answer: Response | ApiError) -> None:
        assert isinstance(answer, Response)
        self.got.append((name, answer.body.decode()))


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.hub.run)
        await trio.testing.wait_all_tasks_blocked()
        yield world
        nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.trio
async def test_a_watcher_is_woken_by_its_own_service_only() -> None:
    async with running(World()) as world:
        world.park("one", "web")
        world.park("two", "db")
        world.set("web", "new")
        await settled()

        assert world.got == [("one", "new")]
        assert world.hub.watching == 1
        assert world.hub.counters.woken == 1


@pytest.mark.trio
async def test_a_change_that_shows_nothing_wakes_nobody() -> None:
    async with running(World()) as world:
        world.set("web", "same")
        world.park("one", "web")
        world.set("web", "same")
        await settled()

        assert world.got == []
        assert world.hub.counters.hidden == 1


@pytest.mark.trio
async def test_a_thousand_watchers_of_one_query_share_one_look() -> None:
    async with running(World(WatchLimits(watchers_per_client_max=1_000))) as world:
        for number in range(1_000):
            world.park(str(number), "web")
        before = world.looks
        world.set("web", "new")
        await settled()

        assert world.got == [(str(number), "new") for number in range(1_000)]
        assert world.looks == before + 1
        assert world.hub.watching == 0


@pytest.mark.trio
async def test_others_get_their_turn_while_many_are_woken() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    limits = WatchLimits(watchers_per_client_max=1_000, batch_max=10)
    async with running(World(limits)) as world:
        for number in range(1_000):
            world.park(str(number), "web")
        async with trio.open_nursery() as nursery:
            world.set("web", "new")
            nursery.start_soon(take_turns)
            while world.hub.watching:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        assert turns > 50


@pytest.mark.trio
async def test_who_comes_between_the_change_and_the_answers_waits_for_the_next_change() -> None:
    async with running(World()) as world:
        world.park("early", "web")
        world.set("web", "new")
        world.park("late", "web")
        await settled()
        assert world.got == [("early", "new")]

        world.set("web", "newer")
        await settled()
        assert world.got == [("early", "new"), ("late", "newer")]
        assert world.hub.counters.spurious == 0


@pytest.mark.trio
async def test_a_wait_ends_in_time_spread_by_a_sixteenth(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(World(WatchLimits(watchers_per_client_max=1_000))) as world:
        began = trio.current_time()
        for number in range(200):
            world.park(str(number), "web")
        ends = []
        while world.hub.watching:
            before = len(world.got)
            await trio.sleep(0.25)
            ends += [trio.current_time() - began] * (len(world.got) - before)

    assert WAIT_S <= min(ends) < WAIT_S * (1 + SPREAD / 4)
    assert WAIT_S * (1 + SPREAD * 3 / 4) < max(ends) <= WAIT_S * (1 + SPREAD) + 0.5
    assert world.hub.counters.timed_out == 200
    assert world.hub.counters.woken == 0


@pytest.mark.trio
async def test_a_shorter_wait_ends_before_longer_ones_that_came_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(World()) as world:
        world.park("long", "web", wait_s=600.0)
        await settled()
        world.park("short", "web", wait_s=1.0)
        await trio.sleep(3.0)

        assert world.got == [("short", "")]


@pytest.mark.trio
async def test_who_hangs_up_leaves_nothing_behind() -> None:
    async with running(World()) as world:
        watchers = [world.park(str(n), service) for n in range(5) for service in ("web", "db")]
        for watcher in watchers:
            watcher.abandon()
            watcher.abandon()
        world.set("web", "new")
        await settled()

        hub = world.hub
        assert (world.got, hub.watching, hub.counters.hung_up) == ([], 0, 10)
        assert hub._groups == {}
        assert hub._of_origin == {}
        assert hub._of_service == {}
        assert not any(hub._buckets.values())


@pytest.mark.trio
async def test_who_hangs_up_while_others_are_woken_is_left_out() -> None:
    async with running(World(WatchLimits(batch_max=1))) as world:
        watchers = [world.park(str(number), "web") for number in range(10)]
        world.set("web", "new")
        while not world.got:
            await trio.lowlevel.checkpoint()
        watchers[-1].abandon()
        await settled()

        assert [name for name, _ in world.got] == [str(number) for number in range(9)]
        assert world.hub.watching == 0


@pytest.mark.trio
async def test_the_end_of_the_node_answers_everybody_and_takes_no_more() -> None:
    async with running(World()) as world:
        world.set("web", "text")
        world.park("one", "web")
        world.park("two", "db")
        world.hub.end()
        await settled()

        assert sorted(world.got) == [("one", "text"), ("two", "")]
        with pytest.raises(ApiError) as refused:
            world.park("three", "web")
        assert (refused.value.status, refused.value.code) == (503, "shutting_down")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (WatchLimits(watchers_max=3), 503),
        (WatchLimits(watchers_per_service_max=3), 503),
        (WatchLimits(watchers_per_client_max=3), 429),
    ],
)
async def test_one_watcher_more_than_a_limit_is_told_when_to_come_back(
    limits: WatchLimits, status: int
) -> None:
    async with running(World(limits)) as world:
        first, *_ = [world.park(str(number), "web") for number in range(3)]
        with pytest.raises(ApiError) as refused:
            world.park("more", "web")
        assert refused.value.status == status
        assert dict(refused.value.headers)["Retry-After"] == "5"
        assert world.hub.counters.refused == 1

        first.abandon()
        world.park("more", "web")


@pytest.mark.trio
async def test_the_queries_by_which_one_service_is_watched_are_bounded() -> None:
    async with running(World(WatchLimits(queries_per_service_max=2))) as world:
        watches = [Watch("web", key, lambda: world.look("web")) for key in range(3)]
        seen = world.look("web")
        for watch in (*watches[:2], *watches[:2]):
            world.hub.park(watch, seen, client="a", wait_s=1.0)
        with pytest.raises(ApiError) as refused:
            world.hub.park(watches[2], seen, client="a", wait_s=1.0)
        assert "different queries" in refused.value.message


@pytest.mark.trio
async def test_addresses_of_one_ipv6_customer_count_together() -> None:
    async with running(World(WatchLimits(watchers_per_client_max=1))) as world:
        world.park("one", "web", client="2001:db8::1")
        world.park("other", "web", client="2001:db8:1::1")
        with pytest.raises(ApiError):
            world.park("same", "web", client="2001:db8::2")


@pytest.mark.trio
async def test_a_lookup_that_breaks_is_an_error_for_its_watchers_and_nobody_else() -> None:
    def broken() -> Look:
        raise LookupError("bug")

    async with running(World()) as world:
        answers: list[Response | ApiError] = []
        watcher = world.hub.park(
            Watch("web", "broken", broken), world.look("web"), client="a", wait_s=WAIT_S
        )
        watcher.begin(answers.append)
        world.park("one", "web")
        world.set("web", "new")
        await settled()

        assert world.got == [("one", "new")]
        (answer,) = answers
        assert isinstance(answer, ApiError)
        assert answer.status == 500


class Pollers:
    """Clients that know what they were shown, and poll with its index."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[tuple[str, int], tuple[str, str]] = {}
        self.parked: dict[tuple[str, int], Watcher] = {}

    def shown(self, service: str) -> tuple[str, str]:
        return str(self.world.indexes[service]), self.world.texts.get(service, "")

    def poll(self, service: str, client: int) -> None:
        key = (service, client)
        if key in self.parked:
            return
        if self.known.get(key) != self.shown(service):
            self.known[key] = self.shown(service)
            return
        world = self.world
        watch = Watch(service, (), lambda: world.look(service))
        watcher = world.hub.park(watch, world.look(service), client="a", wait_s=WAIT_S)
        self.parked[key] = watcher
        watcher.begin(lambda _answer: self._take(key))

    def hang_up(self, service: str, client: int) -> None:
        watcher = self.parked.pop((service, client), None)
        if watcher is not None:
            watcher.abandon()

    def _take(self, key: tuple[str, int]) -> None:
        del self.parked[key]
        assert self.shown(key[0]) != self.known[key], "woken for nothing"
        self.known[key] = self.shown(key[0])

    async def do(self, verb: str, service: str, number: int) -> None:
        if verb == "set":
            self.world.set(service, "xyz"[number % 3])
        elif verb == "poll":
            self.poll(service, number)
        elif verb == "hang up":
            self.hang_up(service, number)
        else:
            for _ in range(number):
                await trio.lowlevel.checkpoint()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "poll", "poll", "hang up", "turn"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
    ),
    max_size=80,
)


@settings(deadline=None, max_examples=50)
@given(steps=STEPS)
def test_no_change_is_lost_and_nobody_is_woken_for_nothing(
    steps: list[tuple[str, str, int]],
) -> None:
    """Once all is quiet, whoever still waits was shown what there is."""

    async def main() -> None:
        world = World(WatchLimits(batch_max=1))
        pollers = Pollers(world)
        async with running(world):
            for step in steps:
                await pollers.do(*step)
            await settled()

            for key in pollers.parked:
                assert pollers.known[key][1] == world.texts.get(key[0], ""), "a change was lost"
            assert world.hub.counters.spurious == 0
            assert world.hub.watching == len(pollers.parked)

    trio.run(main)
