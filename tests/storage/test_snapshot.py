"""A snapshot: consistent, whole, and nobody who writes has to wait for its end."""

import os
import stat
import time
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

from protocol.identity import NodeId
from storage import (
    DatabaseUnreachableError,
    DiskFullError,
    Loaded,
    MemoryStore,
    StorageClosedError,
    Writer,
    snapshot_store,
    whose,
)
from tests.cluster.situations import say

from .situations import ALICE, BOB, chain, keep, manifest, open_alice, result

LARGE = os.environ.get("KITH_TEST_LOAD", "small") == "large"
OWNERS, RECORDS = (100, 1_000) if LARGE else (20, 1_000)


def nothing() -> None:
    pass


def test_a_snapshot_holds_all_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = open_alice(tmp_path / "kith.db")
    store.begin_life()
    store.write([chain(ALICE), keep(ALICE, 1), keep(ALICE, 2)], [result("u")])
    store.mark("restored")

    store.snapshot(tmp_path / "copy.db", between=nothing)

    expected = store.load()
    store.close()
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["copy.db", "kith.db"]
    copy = open_alice(tmp_path / "copy.db")
    assert copy.load() == expected
    assert copy.find_result("u") == result("u")
    copy.close()


def test_what_is_written_meanwhile_is_in_it_whole(tmp_path: Path) -> None:
    store = open_alice(tmp_path / "kith.db")
    bulk = {str(number): bytes(300) for number in range(4_000)}
    store.write([chain(ALICE), chain(BOB), manifest(BOB, 1, **bulk)])
    states: list[Loaded] = []

    def between() -> None:
        states.append(store.load())
        store.write([keep(ALICE, len(states))], [result(f"u{len(states)}")])

    store.snapshot(tmp_path / "copy.db", between=between)

    store.close()
    assert len(states) > 2
    copy = open_alice(tmp_path / "copy.db")
    assert copy.load() == states[-1], "as of its end"
    assert copy.find_result(f"u{len(states) - 1}") is not None
    copy.close()


def test_a_file_that_exists_or_cannot_be_is_refused_and_nothing_left(tmp_path: Path) -> None:
    store = open_alice(tmp_path / "kith.db")
    (tmp_path / "there").write_text("mine")
    for path in (tmp_path / "there", tmp_path / "nowhere" / "copy.db"):
        with pytest.raises(DatabaseUnreachableError):
            store.snapshot(path, between=nothing)
    assert (tmp_path / "there").read_text() == "mine"

    def interrupted() -> None:
        raise DiskFullError("here")

    with pytest.raises(DiskFullError):
        store.snapshot(tmp_path / "copy.db", between=interrupted)
    assert not (tmp_path / "copy.db").exists()
    store.write([chain(ALICE), keep(ALICE, 1)])
    store.close()
    with pytest.raises(StorageClosedError):
        store.snapshot(tmp_path / "copy.db", between=nothing)
    with pytest.raises(DatabaseUnreachableError):
        MemoryStore(ALICE).snapshot(tmp_path / "copy.db", between=nothing)


def test_a_store_that_nobody_has_open_is_copied_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kith.db"
    store = open_alice(path)
    store.write([chain(ALICE), keep(ALICE, 1)])
    expected = store.load()
    store.close()
    before = path.read_bytes()

    snapshot_store(path, tmp_path / "copy.db")

    assert path.read_bytes() == before
    assert whose(tmp_path / "copy.db") == whose(path)
    copy = open_alice(tmp_path / "copy.db")
    assert copy.load() == expected
    copy.close()


@pytest.mark.trio
async def test_writes_go_on_while_a_snapshot_is_made(tmp_path: Path) -> None:
    """With `KITH_TEST_LOAD=large`, 100,000 records; `-s` shows how long writes waited."""
    store, rng = open_alice(tmp_path / "kith.db"), Random(1)
    for number in range(OWNERS):
        owner = NodeId(number.to_bytes(32, "big"))
        bodies = {f"web/web-{port}": rng.randbytes(300) for port in range(RECORDS)}
        store.write([chain(owner), manifest(owner, 1, **bodies)])
    waits: list[float] = []
    versions = iter(range(1, 10**9))

    async def write(writer: Writer) -> None:
        while True:
            begun = time.perf_counter()
            await writer.write_through([keep(ALICE, next(versions))])
            waits.append(time.perf_counter() - begun)

    async with Writer(store, on_fatal=print) as writer, trio.open_nursery() as nursery:
        await writer.write_through([chain(ALICE)])
        nursery.start_soon(write, writer)
        while len(waits) < 50:
            await trio.testing.wait_all_tasks_blocked(0.001)
        before, begun = list(waits), time.perf_counter()
        await writer.snapshot(tmp_path / "copy.db")
        took, during = time.perf_counter() - begun, waits[len(before) :]
        nursery.cancel_scope.cancel()
    say(
        f"{OWNERS * RECORDS} records, {(tmp_path / 'copy.db').stat().st_size / 2**20:.1f} MiB in "
        f"{took:.3f} s, {len(during)} writes meanwhile: {shown(during)}; before: {shown(before)}"
    )

    assert len(during) > 1, "whoever writes does not wait for the end"
    copy = open_alice(tmp_path / "copy.db")
    assert copy.load().last_dot.version >= len(before)
    copy.close()


def shown(waits: list[float]) -> str:
    ordered = sorted(waits)
    return f"median {ordered[len(ordered) // 2] * 1_000:.1f} ms, worst {ordered[-1] * 1_000:.1f} ms"
