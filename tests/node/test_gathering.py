"""When the next commit of ours is signed: at once, or with those who were answered together."""

from math import inf

import pytest
import trio
import trio.testing

from node.delivery.gathering import GATHER_S, PAUSE_MAX, Gathering
from protocol.bodies import key_of
from protocol.delivery.standing import Priority
from protocol.limits import GROUP_COMMIT_MAX
from protocol.records import ServiceRecord

from .api.situations import TestNode, open_node


def test_who_is_alone_waits_for_nobody() -> None:
    gathering = Gathering()

    assert not gathering.begin(0, now=1.0)
    assert not gathering.begin(1, now=1.0)
    assert gathering.until_s == inf
    assert not gathering.lacks(0)


def test_after_sixteen_the_next_commit_waits_for_sixteen_and_no_longer_than_its_time() -> None:
    gathering = Gathering()

    assert gathering.begin(16, now=1.0)

    assert gathering.until_s == 1.0 + GATHER_S
    assert gathering.lacks(15)
    assert not gathering.lacks(16)


def test_no_more_are_waited_for_than_a_commit_takes() -> None:
    gathering = Gathering()
    gathering.begin(10 * GROUP_COMMIT_MAX, now=1.0)
    assert not gathering.lacks(GROUP_COMMIT_MAX)


def test_a_wait_that_was_worth_it_is_followed_by_another() -> None:
    gathering = Gathering()
    gathering.begin(4, now=1.0)
    gathering.end(4)
    assert gathering.until_s == inf
    assert gathering.begin(4, now=2.0)


def test_each_wait_in_vain_doubles_how_many_commits_go_at_once_before_the_next() -> None:
    gathering = Gathering()
    pauses: list[int] = []
    for _ in range(8):
        while not gathering.begin(4, now=1.0):
            pauses[-1] += 1
        gathering.end(1)
        pauses.append(0)
    assert pauses[:-1] == [1, 3, 7, 15, 31, 63, PAUSE_MAX]


async def register(node: TestNode, client: str, count: int, told: list[str]) -> None:
    """One after the other, each at once when the one before was answered."""
    for number in range(count):
        body = ServiceRecord(name="web", id=f"{client}-{number}", address="10.0.0.1", port=80)
        await node.context.driver.propose({key_of(body): body})
        told.append(body.id)


@pytest.mark.trio
async def test_everybody_is_answered_whoever_comes_back_and_whoever_does_not() -> None:
    async with open_node() as node:
        told: list[str] = []
        async with trio.open_nursery() as clients:
            for number, client in enumerate("abcdefgh"):
                clients.start_soon(register, node, client, 3 * number, told)

        assert len(told) == len(set(told)) == 3 * sum(range(8))
        branch = node.context.peer.registry.branch(node.context.me)
        assert branch is not None
        held = {body.id for body in branch.bodies.values() if isinstance(body, ServiceRecord)}
        assert held == set(told)


@pytest.mark.trio
async def test_what_is_critical_waits_for_nobody_and_takes_along_who_waits() -> None:
    async with open_node() as node:
        driver = node.context.driver
        # As after a commit that answered many, of whom none asks again.
        driver._gathering.begin(100, now=trio.current_time() + 1_000)
        told: list[str] = []
        async with trio.open_nursery() as clients:
            clients.start_soon(register, node, "a", 1, told)
            await trio.testing.wait_all_tasks_blocked()
            assert told == []
            body = ServiceRecord(name="web", id="b", address="10.0.0.1", port=80)
            await driver.propose({key_of(body): body}, priority=Priority.CRITICAL)

        assert told == ["a-0"]
