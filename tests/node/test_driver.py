"""Proposals that nobody waits for, and several that become one commit."""

import pytest

from node.driver import DiskFull
from protocol.bodies import key_of
from protocol.commits import Dot
from protocol.errors import ProposalError
from protocol.records import ServiceRecord

from .api.situations import open_node, until


def service(port: int, version: str = "") -> ServiceRecord:
    return ServiceRecord(
        name="web", id=f"web-{port}", address="127.0.0.1", port=port, version=version
    )


@pytest.mark.trio
async def test_proposals_that_follow_at_once_become_one_commit_without_those_refused() -> None:
    async with open_node() as node:
        driver = node.context.driver
        told: list[Dot | None] = []
        too_long = service(4, version="x" * 200)

        for record in map(service, (1, 2, 3)):
            driver.begin({key_of(record): record}, told.append, more=True)
        with pytest.raises(ProposalError):
            driver.begin({key_of(too_long): too_long}, told.append, more=True)
        driver.begin({}, told.append)

        assert told == [], "nobody is told before it is on disk"
        await until(lambda: len(told) >= 4)
        branch = node.context.peer.registry.branch(node.context.me)
        assert branch is not None
        assert told == [branch.dot] * 4
        assert [body.id for body in branch.bodies.values() if isinstance(body, ServiceRecord)] == [
            "web-1", "web-2", "web-3",
        ]  # fmt: skip


@pytest.mark.trio
async def test_nothing_is_taken_while_the_disk_is_full() -> None:
    async with open_node() as node:
        driver = node.context.driver
        driver.disk_full = True
        told: list[Dot | None] = []

        with pytest.raises(DiskFull) as refusal:
            driver.begin({}, told.append)

        assert refusal.value.definite
        assert told == []
