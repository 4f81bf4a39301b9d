"""Marks: told when what was submitted is durable, or that it is not, in order and at no cost."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from protocol.commits import NOTHING
from protocol.effects import Keep
from storage import (
    DiskFailedError,
    DiskFullError,
    QueueFullError,
    Result,
    StorageBrokenError,
    Writer,
    writer,
)

from .gated import Alarm, GatedStore, calm, shut_in
from .situations import ALICE, BOB, keep, open_alice, result, steps

pytestmark = pytest.mark.trio


class Heard:
    """What each mark was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self._changed = trio.Event()

    def mark(self, its_writer: Writer, name: str) -> None:
        its_writer.when_durable(lambda kept: self._note(name, kept))

    def _note(self, name: str, kept: bool) -> None:
        self.told.append((name, kept))
        self._changed.set()
        self._changed = trio.Event()

    async def of(self, count: int) -> list[tuple[str, bool]]:
        """All, once there are so many."""
        with trio.fail_after(10):
            while len(self.told) < count:
                await self._changed.wait()
        return self.told


async def test_a_mark_is_told_when_what_was_submitted_before_it_is_durable() -> None:
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        heard.mark(its_writer, "first")
        its_writer.submit(keep(BOB, 2))
        heard.mark(its_writer, "second")
        await trio.testing.wait_all_tasks_blocked()
        assert heard.told == []

        store.gate.set()

        assert await heard.of(2) == [("first", True), ("second", True)]
        assert store.versions == [1, 2]


async def test_a_mark_costs_no_transaction_where_nothing_waits() -> None:
    heard = Heard()
    async with Writer(GatedStore(), on_fatal=calm) as its_writer:
        heard.mark(its_writer, "idle")
        assert heard.told == []  # later, never from within

        assert await heard.of(1) == [("idle", True)]
        await its_writer.write_through([keep(ALICE, 1)])
        heard.mark(its_writer, "after")
        assert await heard.of(2) == [("idle", True), ("after", True)]

        assert its_writer.statistics().transactions == 1


async def test_a_mark_shortens_the_wait_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LINGER_S", 1_000.0)
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        its_writer.submit(keep(BOB, 1))
        its_writer.submit(keep(BOB, 2))
        heard.mark(its_writer, "one")
        its_writer.submit(keep(BOB, 3))
        heard.mark(its_writer, "all")

        assert await heard.of(2) == [("one", True), ("all", True)]
        assert [len(batch) for batch in store.batches] == [3]


async def test_a_mark_waits_with_what_a_full_disk_holds_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 1_000.0)
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        store.fault = DiskFullError("memory")
        its_writer.submit(keep(BOB, 1))
        heard.mark(its_writer, "before")
        with pytest.raises(DiskFullError):
            await its_writer.write_through([keep(ALICE, 1)])
        retry = its_writer._not_before
        heard.mark(its_writer, "while")
        its_writer.submit(keep(BOB, 2))
        heard.mark(its_writer, "then")
        assert its_writer._not_before == retry
        assert heard.told == []

        store.fault = None
        await its_writer.write_through([keep(ALICE, 2)])

        assert await heard.of(3) == [("before", True), ("while", True), ("then", True)]


async def test_a_keep_that_cannot_be_done_fails_its_mark_and_no_other() -> None:
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        heard.mark(its_writer, "before")
        store.poison = keep(BOB, 66)
        its_writer.submit(keep(BOB, 2))
        its_writer.submit(keep(BOB, 66))
        its_writer.submit(keep(BOB, 3))
        heard.mark(its_writer, "with")
        its_writer.submit(keep(BOB, 4))
        heard.mark(its_writer, "after")
        store.gate.set()

        assert await heard.of(3) == [("before", True), ("with", False), ("after", True)]
        assert store.versions == [1, 2, 3, 4]


async def test_two_marks_on_a_keep_that_is_lost_both_hear_it() -> None:
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        store.poison = keep(BOB, 66)
        its_writer.submit(keep(BOB, 66))
        heard.mark(its_writer, "one")
        heard.mark(its_writer, "other")

        assert await heard.of(2) == [("one", False), ("other", False)]


async def test_a_keep_lost_before_anybody_marked_it_fails_the_next_mark_only() -> None:
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        store.poison = keep(BOB, 66)
        its_writer.submit(keep(BOB, 66))
        await its_writer.write_through([keep(ALICE, 1)])

        heard.mark(its_writer, "next")
        heard.mark(its_writer, "after")

        assert await heard.of(2) == [("next", False), ("after", True)]


async def test_what_somebody_waits_for_himself_fails_no_mark() -> None:
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        store.poison = keep(ALICE, 66)
        its_writer.submit(keep(BOB, 1))
        heard.mark(its_writer, "theirs")
        with pytest.raises(StorageBrokenError):
            await its_writer.write_through([keep(ALICE, 66)])
        heard.mark(its_writer, "later")

        assert await heard.of(2) == [("theirs", True), ("later", True)]


async def test_a_keep_that_was_refused_for_want_of_room_fails_the_mark_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 3)
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        its_writer.submit(keep(BOB, 2))
        heard.mark(its_writer, "before")
        its_writer.submit(keep(BOB, 3))
        for version in (4, 5):
            with pytest.raises(QueueFullError):
                its_writer.submit(keep(BOB, version))
        heard.mark(its_writer, "with")
        heard.mark(its_writer, "after")
        store.gate.set()

        assert await heard.of(3) == [("before", True), ("with", False), ("after", True)]


async def test_a_refused_keep_fails_the_mark_also_where_nothing_submitted_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 1)
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer, trio.open_nursery() as nursery:
        store.gate.clear()
        nursery.start_soon(its_writer.write_through, [keep(ALICE, 1)])
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(QueueFullError):
            its_writer.submit(keep(BOB, 1))
        heard.mark(its_writer, "with")
        heard.mark(its_writer, "after")
        store.gate.set()

        assert await heard.of(2) == [("with", False), ("after", True)]


async def test_full_disk_at_the_end_fails_the_marks_that_wait() -> None:
    store, heard = GatedStore(), Heard()
    store.fault = DiskFullError("memory")
    its_writer = Writer(store, on_fatal=calm)
    its_writer.submit(keep(BOB, 1))
    heard.mark(its_writer, "waits")

    assert await its_writer.close()
    heard.mark(its_writer, "late")

    assert await heard.of(2) == [("waits", False), ("late", False)]


async def test_what_waits_at_the_end_is_written_and_its_mark_told_so() -> None:
    heard = Heard()
    its_writer = Writer(GatedStore(), on_fatal=calm)
    its_writer.submit(keep(BOB, 1))
    heard.mark(its_writer, "waits")

    assert await its_writer.close()

    assert await heard.of(1) == [("waits", True)]


async def test_a_fatal_error_fails_all_marks_that_wait_and_all_that_come() -> None:
    store, alarm, heard = GatedStore(), Alarm(), Heard()
    async with Writer(store, on_fatal=alarm.ring) as its_writer:
        await shut_in(store, its_writer)
        heard.mark(its_writer, "in hand")
        its_writer.submit(keep(BOB, 2))
        heard.mark(its_writer, "waits")
        store.fault = DiskFailedError("memory", "SQLITE_IOERR_FSYNC")
        store.gate.set()
        await alarm.rang.wait()
        heard.mark(its_writer, "late")

        assert await heard.of(3) == [("in hand", False), ("waits", False), ("late", False)]


async def test_marks_are_bounded_and_those_beyond_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MARKS_MAX", 2)
    store, heard = GatedStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        for name in ("1", "2", "3"):
            heard.mark(its_writer, name)
        assert await heard.of(1) == [("3", False)]
        store.gate.set()

        assert await heard.of(3) == [("3", False), ("1", True), ("2", True)]
        heard.mark(its_writer, "4")
        assert (await heard.of(4))[-1] == ("4", True)


async def test_writes_of_a_batch_with_one_at_fault_keep_their_order_on_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.0)
    store, heard = FillingStore(), Heard()
    async with Writer(store, on_fatal=calm) as its_writer:
        await shut_in(store, its_writer)
        for version in (2, 3, 66, 4, 5):
            its_writer.submit(keep(BOB, version))
        heard.mark(its_writer, "all")
        store.poison = keep(BOB, 66)
        store.gate.set()

        assert await heard.of(1) == [("all", False)]

    assert store.versions == [1, 2, 3, 4, 5]


class FillingStore(GatedStore):
    """Has no room for the first try of each single keep."""

    def __init__(self) -> None:
        super().__init__()
        self._refused: list[object] = []

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        if len(keeps) == 1 and keeps[0] != keep(BOB, 1) and keeps[0] not in self._refused:
            self._refused.append(keeps[0])
            raise DiskFullError(self.name)
        super().write(keeps, results)


async def test_own_commits_are_read_back(tmp_path: Path) -> None:
    own = steps(ALICE, 1, 5)
    async with Writer(open_alice(tmp_path / "kith.db"), on_fatal=calm) as its_writer:
        await its_writer.write_through(own)

        assert await its_writer.recall(own[1].commit.head.dot, 2, 10**6) == (
            own[2].commit,
            own[3].commit,
        )
        assert await its_writer.recall(NOTHING, 1, 1) == (own[0].commit,)


async def test_a_result_is_written_with_its_commit_or_not_at_all() -> None:
    store = GatedStore()
    async with Writer(store, on_fatal=calm) as its_writer, trio.open_nursery() as nursery:
        await shut_in(store, its_writer)
        store.poison = keep(ALICE, 66)

        async def expect_broken() -> None:
            with pytest.raises(StorageBrokenError):
                await its_writer.write_through([keep(ALICE, 66)], [result("lost")])

        nursery.start_soon(its_writer.write_through, [keep(ALICE, 1)], [result("kept")])
        nursery.start_soon(expect_broken)
        await trio.testing.wait_all_tasks_blocked()
        store.gate.set()

    assert store.find_result("kept") == result("kept")
    assert store.find_result("lost") is None
