"""Names that hang hold up nobody who asks for another; by real threads that really wait."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import trio

from node.transport.resolver import SLOW_MAX, Entry, Resolver

PATIENCE_S = 30.0
SLOW_S = 0.05
MANY = 70
"""More than trio's forty threads, and than the places for names that hang."""


def entry(address: str) -> Entry:
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)


class NameService:
    """Answers at once, says that there is no such name, or hangs until it is released."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.hanging = self.hanging_most = 0
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __call__(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int,
        kind: int,
        proto: int,
        flags: int,
    ) -> list[Entry]:
        name = (host or b"").decode()
        with self._lock:
            self.asked[name] += 1
        if name.startswith("missing"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name.startswith("odd"):
            raise OverflowError("a port that is none")
        if name.startswith("hung"):
            with self._lock:
                self.hanging += 1
                self.hanging_most = max(self.hanging, self.hanging_most)
            released = self.released.wait(PATIENCE_S)
            with self._lock:
                self.hanging -= 1
            assert released
        return [entry("10.0.0.1")]


@pytest.fixture
def service() -> Iterator[NameService]:
    made = NameService()
    yield made
    made.released.set()


async def look_up(resolver: Resolver, name: str) -> list[Entry]:
    with trio.fail_after(PATIENCE_S):
        return await resolver.getaddrinfo(name.encode(), 80)


async def hang(resolver: Resolver, names: list[str], service: NameService, count: int) -> None:
    """Ask for each until so many hang, and go away, long before there is an answer."""
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(look_up, resolver, name)
        await settle(service, count)
        nursery.cancel_scope.cancel()


async def settle(service: NameService, count: int) -> None:
    """Wait until so many look-ups hang."""
    with trio.fail_after(PATIENCE_S):
        while service.hanging != count:  # noqa: ASYNC110 - threads set no event of trio's
            await trio.sleep(0.005)


@pytest.mark.trio
async def test_a_name_is_looked_up_once_for_all_who_ask_meanwhile(service: NameService) -> None:
    resolver, answers = Resolver(by=service), list[list[Entry]]()

    async def ask() -> None:
        answers.append(await look_up(resolver, "hung"))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
        await settle(service, 1)
        service.released.set()

    assert answers == [[entry("10.0.0.1")]] * 50
    assert service.asked == {"hung": 1}
    await look_up(resolver, "hung")
    assert service.asked == {"hung": 2}


@pytest.mark.trio
async def test_whoever_goes_away_does_so_at_once_and_the_next_gets_the_answer(
    service: NameService,
) -> None:
    resolver = Resolver(by=service)
    await hang(resolver, ["hung"], service, 1)
    await hang(resolver, ["hung"], service, 1)

    service.released.set()

    assert await look_up(resolver, "hung") == [entry("10.0.0.1")]
    assert service.asked["hung"] <= 2, "once, or once more if the answer came before the question"


@pytest.mark.trio
async def test_many_names_that_hang_keep_nobody_from_others(service: NameService) -> None:
    resolver = Resolver(by=service, slow_s=SLOW_S)
    names = [f"hung-{number}" for number in range(MANY)]
    await hang(resolver, names, service, MANY)

    assert await look_up(resolver, "prompt") == [entry("10.0.0.1")]


@pytest.mark.trio
async def test_names_that_hung_before_wait_among_themselves(service: NameService) -> None:
    resolver = Resolver(by=service, slow_s=SLOW_S)
    names = [f"hung-{number}" for number in range(MANY)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(look_up, resolver, name)
        await settle(service, MANY)
        await trio.sleep(2 * SLOW_S)
        service.released.set()
    service.released.clear()
    service.hanging_most = 0

    await hang(resolver, names, service, SLOW_MAX)

    assert await look_up(resolver, "prompt") == [entry("10.0.0.1")]
    assert service.hanging_most == SLOW_MAX
    assert len(resolver) == SLOW_MAX, "those who went away have given up what had not begun"


@pytest.mark.trio
async def test_each_is_told_that_there_is_no_such_name_by_an_error_of_its_own(
    service: NameService,
) -> None:
    resolver, errors = Resolver(by=service), list[OSError]()

    async def ask() -> None:
        with pytest.raises(socket.gaierror, match="not known") as caught:
            await look_up(resolver, "missing")
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)

    assert errors[0] is not errors[1]
    assert [error.errno for error in errors] == [socket.EAI_NONAME] * 2


@pytest.mark.trio
async def test_an_odd_error_is_for_who_asked_and_ends_nothing(service: NameService) -> None:
    resolver = Resolver(by=service)
    with pytest.raises(OverflowError, match="a port that is none"):
        await look_up(resolver, "odd")
    assert await look_up(resolver, "prompt") == [entry("10.0.0.1")]


def test_a_look_up_that_hangs_does_not_keep_a_node_from_ending(service: NameService) -> None:
    async def main() -> None:
        Resolver(by=service).install()
        with trio.move_on_after(SLOW_S):
            await trio.socket.getaddrinfo("hung.example", 80)

    began = time.perf_counter()
    trio.run(main)

    assert time.perf_counter() - began < PATIENCE_S / 2
    assert service.asked == {"hung.example": 1}


@pytest.mark.trio
async def test_the_systems_own_answers_are_passed_on() -> None:
    resolver = Resolver()
    found = await resolver.getaddrinfo(b"localhost", 80, type=socket.SOCK_STREAM)
    assert {"127.0.0.1", "::1"} & {str(address[0]) for *_, address in found}
    with pytest.raises(OSError, match="not known"):
        await resolver.getaddrinfo(b"kith.invalid", 80)
    assert (await resolver.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICSERV))[1] == "80"
