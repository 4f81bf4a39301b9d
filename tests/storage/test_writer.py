"""The writer thread: group commit, order, errors, cancelled waiters, an end in bounded time."""

from pathlib import Path

import pytest
import trio

from protocol.commits import RecordKey
from storage import (
    DiskFailedError,
    DiskFullError,
    QueueFullError,
    StorageBrokenError,
    StorageClosedError,
    Writer,
    writer,
)

from .gated import Alarm, GatedStore, calm, shut_in
from .situations import ALICE, BOB, keep, open_alice, result


@pytest.mark.trio
async def test_what_was_written_through_is_durable_on_return(tmp_path: Path) -> None:
    async with Writer(open_alice(tmp_path / "kith.db"), on_fatal=calm) as its_writer:
        its_writer.submit(keep(BOB, 1, web=b"theirs"))
        await its_writer.write_through([keep(ALICE, 1, web=b"ours")], [result("u")])

        assert await its_writer.find_result("u") == result("u")
        assert await its_writer.find_result("other") is None
        assert (await its_writer.store_statistics()).records == 2

    store = open_alice(tmp_path / "kith.db")
    assert [branch.owner for branch in store.load().branches] == [ALICE, BOB]
    assert store.load().last_dot.version == 1
    store.close()


@pytest.mark.trio
async def test_what_gathers_during_a_transaction_shares_the_next() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer, trio.open_nursery() as nursery:
        await shut_in(store, its_writer)
        for version in range(2, 202):
            its_writer.submit(keep(BOB, version))
        for n in range(50):
            nursery.start_soon(its_writer.write_through, [keep(ALICE, n + 1)])
        await trio.testing.wait_all_tasks_blocked()
        store.gate.set()

    assert [len(batch) for batch in store.batches] == [1, 250]
    assert its_writer.statistics().transactions == 2
    assert its_writer.statistics().keeps == 251
    assert its_writer.statistics().waiting == 0


@pytest.mark.trio
async def test_a_transaction_is_bounded_in_keeps_and_bytes() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        for version in range(2, 602):
            its_writer.submit(keep(BOB, version))
        third = b"x" * (writer.BATCH_BYTES_MAX // 3 // 2 + 1)
        for version in range(602, 607):
            # A body counts twice: in the commit and in the records.
            its_writer.submit(keep(ALICE, version, web=third))
        store.gate.set()

    assert [len(batch) for batch in store.batches] == [1, 256, 256, 90, 2, 1]


@pytest.mark.trio
async def test_writes_are_done_in_the_order_of_the_calls() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer, trio.open_nursery() as nursery:
        await shut_in(store, its_writer)
        for version in range(2, 1_000, 2):
            its_writer.submit(keep(BOB, version))
            nursery.start_soon(its_writer.write_through, [keep(BOB, version + 1)])
            await trio.testing.wait_all_tasks_blocked()
        store.gate.set()

    assert store.versions == list(range(1, 1_000))


@pytest.mark.trio
async def test_full_disk_is_told_to_waiters_and_submitted_keeps_are_tried_again() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer:
        store.fault = DiskFullError("memory")
        its_writer.submit(keep(BOB, 1))
        its_writer.submit(keep(BOB, 2))
        with pytest.raises(DiskFullError):
            await its_writer.write_through([keep(ALICE, 1)])
        assert its_writer.statistics().waiting == 2

        store.fault = None
        await its_writer.write_through([keep(ALICE, 2)])

    assert store.batches == [[keep(BOB, 1), keep(BOB, 2), keep(ALICE, 2)]]
    assert its_writer.statistics().dropped == 0


@pytest.mark.trio
async def test_full_disk_is_told_to_waiters_far_behind_in_the_queue() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        for version in range(2, 1_002):
            its_writer.submit(keep(BOB, version))
        store.fault = DiskFullError("memory")

        async with trio.open_nursery() as nursery:
            told = trio.Event()

            async def wait_to_hear() -> None:
                with pytest.raises(DiskFullError):
                    await its_writer.write_through([keep(ALICE, 1)])
                told.set()

            nursery.start_soon(wait_to_hear)
            await trio.testing.wait_all_tasks_blocked()
            store.gate.set()
            await told.wait()
        store.fault = None

    assert store.versions == list(range(1, 1_002))


@pytest.mark.trio
async def test_full_disk_at_the_end_gives_up_what_nobody_waits_for() -> None:
    store = GatedStore()
    store.fault = DiskFullError("memory")
    its_writer = Writer(store, on_fatal=calm)
    its_writer.submit(keep(BOB, 1))

    assert await its_writer.close()

    assert its_writer.statistics().dropped == 1
    assert store.is_closed


@pytest.mark.trio
async def test_after_a_fatal_error_everybody_hears_it_and_nothing_is_tried_again() -> None:
    store, alarm = GatedStore(), Alarm()
    async with Writer(store, on_fatal=alarm.ring) as its_writer:
        await shut_in(store, its_writer)
        store.fault = DiskFailedError("memory", "SQLITE_IOERR_FSYNC")

        async with trio.open_nursery() as nursery:

            async def expect_failure() -> None:
                with pytest.raises(DiskFailedError):
                    await its_writer.write_through([keep(ALICE, 1)])

            async def expect_failed_read() -> None:
                with pytest.raises(DiskFailedError):
                    await its_writer.find_result("u")

            nursery.start_soon(expect_failure)
            nursery.start_soon(expect_failed_read)
            await trio.testing.wait_all_tasks_blocked()
            store.gate.set()
        await alarm.rang.wait()

        store.fault = None
        with pytest.raises(DiskFailedError):
            its_writer.submit(keep(BOB, 2))
        with pytest.raises(DiskFailedError):
            await its_writer.find_result("u")
        await its_writer.room()

    assert alarm.errors == [its_writer.statistics().last_error]
    assert store.batches == []
    assert store.is_closed


@pytest.mark.trio
async def test_one_write_that_cannot_be_done_does_not_fail_the_others() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer, trio.open_nursery() as nursery:
        await shut_in(store, its_writer)
        store.poison = keep(ALICE, 66)

        async def expect_broken() -> None:
            with pytest.raises(StorageBrokenError, match="poison"):
                await its_writer.write_through([keep(ALICE, 66)])

        nursery.start_soon(its_writer.write_through, [keep(ALICE, 1)])
        nursery.start_soon(expect_broken)
        nursery.start_soon(its_writer.write_through, [keep(ALICE, 2)])
        await trio.testing.wait_all_tasks_blocked()
        store.gate.set()

    assert sorted(store.versions) == [1, 1, 2]


@pytest.mark.trio
async def test_cancelled_waiter_is_written_nevertheless_and_hurts_nobody() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        with trio.CancelScope() as scope:
            scope.cancel()
            await its_writer.write_through([keep(ALICE, 1)])
        assert scope.cancelled_caught
        store.gate.set()
        await its_writer.write_through([keep(ALICE, 2)])

    assert store.versions == [1, 1, 2]


@pytest.mark.trio
async def test_queue_is_bounded_and_says_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 10)
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer:
        await its_writer.room()
        await shut_in(store, its_writer)
        for version in range(2, 11):
            its_writer.submit(keep(BOB, version))
        with pytest.raises(QueueFullError, match="10 writes"):
            its_writer.submit(keep(BOB, 11))
        with pytest.raises(QueueFullError):
            await its_writer.write_through([keep(ALICE, 1)])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(its_writer.room)
            await trio.testing.wait_all_tasks_blocked()
            store.gate.set()
        its_writer.submit(keep(BOB, 11))

    assert store.versions == list(range(1, 12))


@pytest.mark.trio
async def test_close_writes_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    its_writer = Writer(open_alice(tmp_path / "kith.db"), on_fatal=calm)
    for version in range(1, 1_001):
        its_writer.submit(keep(BOB, version, web=b"%d" % version))

    assert await its_writer.close()
    assert await its_writer.close()

    with pytest.raises(StorageClosedError):
        its_writer.submit(keep(BOB, 1_001))
    with pytest.raises(StorageClosedError):
        await its_writer.find_result("u")
    store = open_alice(tmp_path / "kith.db")
    (branch,) = store.load().branches
    assert {RecordKey(r.kind, r.key): r.body for r in branch.records} == {(1, "web"): b"1000"}
    store.close()


@pytest.mark.trio
async def test_close_ends_in_time_though_the_disk_hangs(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = GatedStore()
    its_writer = Writer(store, on_fatal=calm)
    store.gate.clear()
    its_writer.submit(keep(BOB, 1))

    assert not await its_writer.close(timeout_s=5.0)

    assert trio.current_time() >= 5.0
    store.gate.set()
    its_writer._thread.join()


@pytest.mark.trio
async def test_real_store_makes_few_transactions_of_many_submits(tmp_path: Path) -> None:
    async with Writer(open_alice(tmp_path / "kith.db"), on_fatal=calm) as its_writer:
        for version in range(1, 2_001):
            its_writer.submit(keep(BOB, version, web=b"x"))
        await its_writer.write_through([keep(ALICE, 1)])

        assert its_writer.statistics().keeps == 2_001
        assert its_writer.statistics().transactions < 200


@pytest.mark.trio
async def test_unsafe_writer_says_that_it_wrote_before_it_did() -> None:
    store = GatedStore()
    store.gate.clear()
    async with Writer(store, on_fatal=calm, unsafe_no_sync=True) as found:
        await found.write_through([keep(ALICE, 1, web=b"1")], [result("u")])

        assert store.versions == []
        store.gate.set()
    assert store.versions == [1]
    assert store.find_result("u") == result("u")
