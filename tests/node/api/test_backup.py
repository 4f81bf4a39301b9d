"""`POST /v1/backup`: a snapshot in the node's own directory, one at a time, nothing left behind."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from node.durability.backup import PLACE_PREFIX
from protocol.identity import NodeId
from storage import DiskFailedError, DiskFullError, MemoryStore, StorageError

from .situations import open_node, stored, until, web

PATH = "/v1/backup"

pytestmark = pytest.mark.trio


class Slow(MemoryStore):
    """Writes a snapshot once it may."""

    def __init__(self, node: NodeId) -> None:
        super().__init__(node)
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        self.begun.set()
        while not self.may_end.wait(0.001):
            between()
        path.write_bytes(b"everything")


class Failing(MemoryStore):
    """Has no room for a snapshot, or a broken disk."""

    error: StorageError = DiskFullError("x")

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        path.write_bytes(b"half of it")
        raise self.error


def places(home: Path) -> list[Path]:
    return list(home.glob(f"{PLACE_PREFIX}*"))


async def test_a_snapshot_lies_in_a_place_of_its_own(tmp_path: Path) -> None:
    store = Slow(stored(tmp_path).chain.node)
    async with open_node(home=tmp_path, store=store) as node:
        version = (await node.expect(200, "GET", "/v1/node"))["head"]

        taken = await node.expect(200, "POST", PATH)

        (place,) = places(tmp_path)
        assert taken["path"] == str(place / "kith.db")
        assert (place / "kith.db").read_bytes() == b"everything"
        assert place.stat().st_mode & 0o777 == 0o700
        assert (taken["bytes"], taken["version"], taken["node"]) == (10, version, node.id)


async def test_writes_go_on_meanwhile_and_a_second_one_is_refused(tmp_path: Path) -> None:
    store = Slow(stored(tmp_path).chain.node)
    async with open_node(home=tmp_path, store=store) as node, trio.open_nursery() as nursery:
        store.may_end.clear()
        nursery.start_soon(node.expect, 200, "POST", PATH)
        await until(store.begun.is_set)

        await node.refused(409, "conflict", "POST", PATH)
        await node.expect(201, "POST", "/v1/services", web())
        assert not store.may_end.is_set()

        store.may_end.set()
    assert len(places(tmp_path)) == 1


@pytest.mark.parametrize("error", [DiskFullError("x"), DiskFailedError("x", "broken")], ids=repr)
async def test_what_fails_leaves_nothing_and_the_node_goes_on(
    tmp_path: Path, error: StorageError
) -> None:
    store = Failing(stored(tmp_path).chain.node)
    store.error = error
    status, code = (500, "internal") if error.fatal else (503, "disk_full")
    async with open_node(home=tmp_path, store=store) as node:
        for _ in range(2):
            await node.refused(status, code, "POST", PATH)
            assert places(tmp_path) == []
        await node.expect(201, "POST", "/v1/services", web())


async def test_without_a_directory_it_says_so() -> None:
    async with open_node() as node:
        error = await node.refused(500, "internal", "POST", PATH)
        assert "/nowhere" in str(error["message"])
        await node.refused(400, "invalid_field", "POST", f"{PATH}?x=1")
