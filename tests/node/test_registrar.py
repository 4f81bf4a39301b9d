"""What checks find on its way into records, and update ids on the disk."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.checks.checker import InstanceKey
from node.http import ApiError
from node.registrar import CheckNews, Instances, Registered, Request, UpdateIds
from protocol.bodies import key_of
from protocol.effects import Keep, KeepCommit
from protocol.identity import NodeId
from protocol.records import CheckRecord, CheckType, Health, ServiceRecord
from storage import DiskFullError, MemoryStore, Result

from .api.situations import TestNode, open_node, until


class FullStore(MemoryStore):
    """Has no room while `is_full`; says so when `may_end`."""

    def __init__(self, node: NodeId, *, is_full: bool) -> None:
        super().__init__(node)
        self.is_full = is_full
        self.may_end = threading.Event()
        self.may_end.set()

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        self.may_end.wait(5)
        if self.is_full:
            raise DiskFullError(self.name)
        super().write(keeps, results)


class NotingStore(MemoryStore):
    """Remembers of every transaction its results, and whether there was a commit in it."""

    def __init__(self, node: NodeId) -> None:
        super().__init__(node)
        self.noted: list[tuple[Sequence[Result], bool]] = []

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        super().write(keeps, results)
        self.noted.append((results, any(isinstance(keep, KeepCommit) for keep in keeps)))


def body_of(update_id: str, *, port: int) -> dict[str, object]:
    return {"name": "web", "id": "web-1", "port": port, "update_id": update_id}


KEY = InstanceKey("web", "web-1")
ME = NodeId(bytes(32))
BEAT = CheckRecord(
    id="beat", type=CheckType.TTL, target="", interval_ms=60_000, timeout_ms=1_000,
    failures_before_critical=1, passes_before_passing=1, deregister_after_ms=0,
    status=Health.CRITICAL, output="", changed_at=1,
)  # fmt: skip
WEB = ServiceRecord(
    name="web", id="web-1", address="127.0.0.1", port=80,
    checks=(BEAT, replace(BEAT, id="other", status=Health.PASSING)),
)  # fmt: skip


def record_of(node: TestNode) -> ServiceRecord | None:
    body = node.context.peer.intended(key_of(WEB))
    return body if isinstance(body, ServiceRecord) else None


async def news_about_web(node: TestNode) -> tuple[CheckNews, list[InstanceKey]]:
    forgotten: list[InstanceKey] = []
    await node.context.driver.propose({key_of(WEB): WEB})
    return CheckNews(node.context.driver, forgotten.append), forgotten


@pytest.mark.trio
async def test_the_newest_word_of_each_check_is_written_with_one_commit() -> None:
    async with open_node() as node:
        news, _ = await news_about_web(node)
        commits = node.context.driver.counters.commits
        news.on_result(KEY, "beat", Health.PASSING, "good")
        news.on_result(KEY, "beat", Health.WARNING, "not so good")
        news.on_result(KEY, "other", Health.CRITICAL, "x" * 1_000)

        assert await news.propose()

        record = record_of(node)
        assert record is not None
        beat, other = record.checks
        assert (beat.status, beat.output) == (Health.WARNING, "not so good")
        assert (other.status, other.output) == (Health.CRITICAL, "x" * 256)
        assert min(beat.changed_at, other.changed_at) > 1
        assert node.context.driver.counters.commits == commits + 1

        news.on_result(KEY, "beat", Health.WARNING, "worse")
        assert await news.propose()
        again = record_of(node)
        assert again is not None
        assert again.checks[0].changed_at == beat.changed_at, "only its words changed"


@pytest.mark.trio
async def test_a_word_on_what_is_gone_or_known_changes_nothing() -> None:
    async with open_node() as node:
        news, _ = await news_about_web(node)
        commits = node.context.driver.counters.commits
        news.on_result(InstanceKey("web", "gone"), "beat", Health.PASSING, "")
        news.on_result(KEY, "no-such-check", Health.PASSING, "")
        news.on_result(KEY, "beat", Health.CRITICAL, "")

        assert await news.propose()

        assert node.context.driver.counters.commits == commits


@pytest.mark.trio
async def test_while_the_disk_is_full_words_wait_and_newer_ones_win() -> None:
    async with open_node() as node:
        news, forgotten = await news_about_web(node)
        node.context.driver.disk_full = True
        news.on_result(KEY, "beat", Health.WARNING, "old")
        news.on_result(KEY, "other", Health.CRITICAL, "only")
        news.on_expired(KEY, "other")
        assert not await news.propose()

        news.on_result(KEY, "beat", Health.PASSING, "new")
        node.context.driver.disk_full = False
        assert await news.propose()

        assert record_of(node) is None, "other was critical for too long"
        assert forgotten == [KEY]


@pytest.mark.trio
async def test_a_word_that_came_while_an_older_one_failed_wins(mock_clock: MockClock) -> None:
    mock_clock.rate = 10
    store = FullStore(ME, is_full=False)
    async with open_node(store=store) as node, trio.open_nursery() as nursery:
        news, _ = await news_about_web(node)
        store.is_full = True
        store.may_end.clear()
        news.on_result(KEY, "beat", Health.WARNING, "old")
        nursery.start_soon(news.propose)
        await wait_all_tasks_blocked(0)
        news.on_result(KEY, "beat", Health.PASSING, "new")
        store.may_end.set()
        await until(lambda: node.context.driver.disk_full)
        await wait_all_tasks_blocked()
        store.is_full = False
        await until(lambda: not node.context.driver.disk_full, seconds=50)

        assert await news.propose()

        record = record_of(node)
        assert record is not None
        assert record.checks[0].output == "new"


@pytest.mark.trio
async def test_an_instance_that_recovered_is_not_removed() -> None:
    async with open_node() as node:
        news, forgotten = await news_about_web(node)
        news.on_expired(KEY, "beat")
        news.on_result(KEY, "beat", Health.PASSING, "just in time")

        assert await news.propose()

        assert record_of(node) is not None
        assert forgotten == []


@pytest.mark.trio
async def test_a_record_that_would_grow_too_large_keeps_statuses_and_drops_words() -> None:
    async with open_node() as node:
        metadata = tuple((f"k{number}", "x" * 500) for number in range(10, 25))
        large = replace(WEB, metadata=metadata)
        await node.context.driver.propose({key_of(large): large})
        news = CheckNews(node.context.driver, lambda _: None)
        news.on_result(KEY, "beat", Health.PASSING, "é" * 256)
        news.on_result(KEY, "other", Health.CRITICAL, "é" * 256)

        assert await news.propose()

        record = record_of(node)
        assert record is not None
        assert [check.status for check in record.checks] == [Health.PASSING, Health.CRITICAL]
        assert [check.output for check in record.checks] == ["", ""]


@pytest.mark.trio
async def test_a_result_is_written_in_one_transaction_with_its_commit() -> None:
    store = NotingStore(ME)
    async with open_node(store=store) as node:
        answer = await node.ask("POST", "/v1/services", body_of("u-1", port=1))
        again = await node.ask("POST", "/v1/services", body_of("u-2", port=1))

        made, unchanged = orjson.loads(answer.body), orjson.loads(again.body)
        found = [(one, is_commit) for results, is_commit in store.noted for one in results]
        assert [(one.update_id, one.version, is_commit) for one, is_commit in found] == [
            ("u-1", made["version"], True),
            ("u-2", unchanged["version"], False),
        ]


@pytest.mark.trio
async def test_an_update_is_not_done_again_whatever_came_after_it() -> None:
    async with open_node() as node:
        first = await node.expect(201, "POST", "/v1/services", body_of("u-1", port=1))
        await node.expect(200, "POST", "/v1/services", body_of("u-2", port=2))
        node.edge._updates._known.clear()  # as in the next life

        again = await node.expect(200, "POST", "/v1/services", body_of("u-1", port=1))
        assert again == first
        assert [one["port"] for one in await node.instances("web")] == [2]

        await node.expect(200, "DELETE", "/v1/services/web/web-1")
        again = await node.expect(200, "POST", "/v1/services", body_of("u-1", port=1))
        assert again == first
        assert await node.instances("web") == []


@pytest.mark.trio
async def test_a_result_of_nothing_new_needs_room_on_the_disk_as_any_other() -> None:
    store = FullStore(ME, is_full=False)
    async with open_node(store=store) as node:
        made = await node.expect(201, "POST", "/v1/services", body_of("u-1", port=1))
        store.is_full = True
        error = await node.refused(503, "disk_full", "POST", "/v1/services", body_of("u-2", port=1))
        assert error["definite"] is True

        store.is_full = False
        again = await node.expect(200, "POST", "/v1/services", body_of("u-2", port=1))
        assert again["version"] == made["version"]


@pytest.mark.trio
async def test_a_request_that_failed_leaves_its_update_id_free() -> None:
    async with open_node() as node:
        updates = UpdateIds(node.context)
        request = Request("u-1", b"h" * 32)
        with pytest.raises(ValueError, match="broke"), updates.claim(request, "web", "web-1"):
            raise ValueError("broke")
        assert await updates.recall(request) is None


@pytest.mark.trio
async def test_another_body_is_refused_while_the_first_is_under_way() -> None:
    async with open_node() as node:
        updates = UpdateIds(node.context)
        with updates.claim(Request("u-1", b"h" * 32), "", ""), pytest.raises(ApiError) as refusal:
            await updates.recall(Request("u-1", b"other"))
        assert refusal.value.code == "conflict"


def port_of(node: TestNode) -> int:
    record = record_of(node)
    return record.port if record is not None else 0


@pytest.mark.trio
async def test_an_update_is_done_once_though_its_caller_left_before_it_was_on_disk() -> None:
    store = FullStore(ME, is_full=False)
    async with open_node(store=store) as node, trio.open_nursery() as callers:
        instances = Instances(node.context, UpdateIds(node.context))
        found: dict[int, Registered] = {}

        async def register(port: int, update_id: str, key: int) -> None:
            asked = Request(update_id, b"h" * 32 if update_id else b"")
            found[key] = await instances.register(replace(WEB, port=port), asked)

        store.may_end.clear()
        async with trio.open_nursery() as impatient:
            impatient.start_soon(register, 1, "u-1", 0)
            await until(lambda: port_of(node) == 1)
            impatient.cancel_scope.cancel()
        callers.start_soon(register, 2, "", 1)
        await until(lambda: port_of(node) == 2)
        callers.start_soon(register, 1, "u-1", 2)
        await wait_all_tasks_blocked()
        assert found == {}
        store.may_end.set()
        await until(lambda: len(found) == 2)

        assert found[2].version == store._results["u-1"].version < found[1].version
        assert port_of(node) == 2, "it was not done again"


@pytest.mark.trio
async def test_an_update_that_waits_for_room_is_not_taken_for_a_new_one(
    mock_clock: MockClock,
) -> None:
    mock_clock.rate = 10
    store = FullStore(ME, is_full=False)
    async with open_node(store=store) as node:
        store.is_full = True
        for definite in (False, False):  # it was signed, and counts once there is room
            answer = await node.ask("POST", "/v1/services", body_of("u-1", port=1))
            assert answer.error["code"] == "disk_full"
            assert answer.error["definite"] is definite
        store.is_full = False
        await until(lambda: not node.context.driver.disk_full, seconds=50)

        told = await node.expect(200, "POST", "/v1/services", body_of("u-1", port=1))

        assert told["version"] == store._results["u-1"].version


@pytest.mark.trio
async def test_a_merge_with_what_this_node_had_forgotten_is_checked_again() -> None:
    async with open_node() as node:
        instances = Instances(node.context, UpdateIds(node.context))
        await node.context.driver.propose({key_of(WEB): WEB})
        assert node.context.checker.checks == 0

        instances.resume()
        assert node.context.checker.checks == 2
        await node.context.driver.propose({key_of(WEB): None})
        instances.resume()
        assert node.context.checker.checks == 0
