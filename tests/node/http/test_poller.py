"""Many sockets are waited for by one task, and each connection hears only its own bytes."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.http.poller import BATCH_MAX, TOGETHER_MAX, Poller

pytestmark = pytest.mark.skipif(
    not Poller.is_possible(), reason="this system has no epoll: each task waits for itself"
)


@asynccontextmanager
async def polling() -> AsyncIterator[Poller]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        yield poller
        nursery.cancel_scope.cancel()
    poller.close()


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)
    return ours, theirs


def no_more() -> None:
    """Nothing to send."""


def line_of(gathered: bytearray, data: bytes) -> bytes | None:
    """The first line, once it is complete, or what there was at the end."""
    gathered += data
    return bytes(gathered) if b"\n" in data or not data else None


async def read_line(poller: Poller, connected: socket.socket, lines: list[bytes]) -> None:
    gathered = bytearray()
    lines.append(await poller.park(connected, lambda data: line_of(gathered, data), no_more))


@pytest.mark.trio
async def test_what_comes_in_pieces_is_handed_on_until_it_is_enough() -> None:
    async with polling() as poller, trio.open_nursery() as nursery:
        ours, theirs = pair()
        lines: list[bytes] = []
        nursery.start_soon(read_line, poller, ours, lines)
        for piece in (b"a", b"b", b"c\n"):
            await wait_all_tasks_blocked()
            assert lines == []
            theirs.send(piece)
    assert lines == [b"abc\n"]
    ours.close()
    theirs.close()


@pytest.mark.trio
async def test_what_had_come_before_and_the_end_are_noticed_too() -> None:
    async with polling() as poller:
        ours, theirs = pair()
        lines: list[bytes] = []
        theirs.send(b"early\n")
        await read_line(poller, ours, lines)
        theirs.close()
        await read_line(poller, ours, lines)
    assert lines == [b"early\n", b""]
    ours.close()


@pytest.mark.trio
async def test_more_than_a_batch_are_all_served() -> None:
    async with polling() as poller:
        pairs = [pair() for _ in range(2 * BATCH_MAX + 1)]
        lines: list[bytes] = []
        async with trio.open_nursery() as nursery:
            for ours, _ in pairs:
                nursery.start_soon(read_line, poller, ours, lines)
            await wait_all_tasks_blocked()
            for number, (_, theirs) in enumerate(pairs):
                theirs.send(b"%d\n" % number)
    assert sorted(lines) == sorted(b"%d\n" % number for number in range(len(pairs)))
    for one in (one for both in pairs for one in both):
        one.close()


@pytest.mark.trio
async def test_what_is_raised_while_serving_one_is_raised_in_its_own_task_alone() -> None:
    def broken(data: bytes) -> bytes | None:
        raise BrokenPipeError

    async with polling() as poller:
        ours, theirs = pair()
        other, others = pair()
        lines: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_line, poller, other, lines)
            theirs.send(b"x")
            with pytest.raises(BrokenPipeError):
                await poller.park(ours, broken, no_more)
            others.send(b"fine\n")
        assert lines == [b"fine\n"]
    for one in (ours, theirs, other, others):
        one.close()


class Speaker:
    """Notes what it does in a list of all; its wait ends with what it sends."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.name, self.done = name, done

    def take(self, _data: bytes) -> str | None:
        self.done.append(f"{self.name} takes")
        return None

    def send(self) -> str | None:
        self.done.append(f"{self.name} sends")
        return self.name

    async def wait(self, poller: Poller, connected: socket.socket, ended: list[str]) -> None:
        ended.append(await poller.park(connected, self.take, self.send))


@pytest.mark.trio
async def test_some_are_served_in_a_row_and_then_all_of_them_send() -> None:
    done: list[str] = []
    ended: list[str] = []
    async with polling() as poller:
        pairs = [pair() for _ in range(TOGETHER_MAX + 1)]
        async with trio.open_nursery() as nursery:
            for number, (ours, _) in enumerate(pairs):
                nursery.start_soon(Speaker(f"{number}", done).wait, poller, ours, ended)
            await wait_all_tasks_blocked()
            for _, theirs in pairs:
                theirs.send(b"x")
    what = [one.partition(" ")[2] for one in done]
    assert what == ["takes"] * TOGETHER_MAX + ["sends"] * TOGETHER_MAX + ["takes", "sends"]
    assert sorted(ended) == sorted(f"{number}" for number in range(TOGETHER_MAX + 1))
    for one in (one for both in pairs for one in both):
        one.close()


@pytest.mark.trio
async def test_what_is_raised_while_sending_is_raised_in_its_own_task() -> None:
    def broken() -> None:
        raise BrokenPipeError

    async with polling() as poller:
        ours, theirs = pair()
        theirs.send(b"x")
        with pytest.raises(BrokenPipeError):
            await poller.park(ours, lambda _data: None, broken)
    ours.close()
    theirs.close()


@pytest.mark.trio
async def test_whose_wait_is_ended_by_another_one_served_with_it_sends_nothing() -> None:
    done: list[str] = []
    scopes = {name: trio.CancelScope() for name in "ab"}

    class Rival(Speaker):
        def take(self, data: bytes) -> str | None:
            if self.done:  # the second to be served
                scopes["a" if self.name == "b" else "b"].cancel()
            return super().take(data)

    async def wait(poller: Poller, name: str, connected: socket.socket) -> None:
        with scopes[name]:
            await Rival(name, done).wait(poller, connected, [])

    async with polling() as poller:
        pairs = [pair() for _ in scopes]
        async with trio.open_nursery() as nursery:
            for name, (ours, _) in zip(scopes, pairs, strict=True):
                nursery.start_soon(wait, poller, name, ours)
            await wait_all_tasks_blocked()
            for _, theirs in pairs:
                theirs.send(b"x")
    first, second = (one.partition(" ")[0] for one in done[:2])
    assert done == [f"{first} takes", f"{second} takes", f"{second} sends"]
    for one in (one for both in pairs for one in both):
        one.close()


@pytest.mark.trio
async def test_a_wait_that_is_cancelled_takes_nothing_and_another_may_follow() -> None:
    async with polling() as poller:
        ours, theirs = pair()
        lines: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_line, poller, ours, lines)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        theirs.send(b"late\n")
        await wait_all_tasks_blocked()
        assert lines == []
        await read_line(poller, ours, lines)
        assert lines == [b"late\n"]
    ours.close()
    theirs.close()


@pytest.mark.trio
async def test_who_cancels_his_own_wait_while_being_served_is_woken_once() -> None:
    async with polling() as poller:
        ours, theirs = pair()
        with trio.CancelScope() as scope:

            def give_up(data: bytes) -> bytes | None:
                scope.cancel()
                return data

            theirs.send(b"x")
            await poller.park(ours, give_up, no_more)
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
    ours.close()
    theirs.close()


@pytest.mark.trio
async def test_a_socket_that_was_closed_while_parked_is_forgotten_with_its_number() -> None:
    async with polling() as poller:
        ours, theirs = pair()
        lines: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_line, poller, ours, lines)
            await wait_all_tasks_blocked()
            number = ours.fileno()
            ours.close()
            nursery.cancel_scope.cancel()
        again, others = pair()
        assert again.fileno() == number, "the system gives the lowest number that is free"
        others.send(b"new\n")
        await read_line(poller, again, lines)
        assert lines == [b"new\n"]
    for one in (theirs, again, others):
        one.close()
