"""TTL checks in virtual time: who stays silent is critical, and ten thousand cost little."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.checks.checker import InstanceKey
from protocol import limits
from protocol.records import Health

from .situations import WEB, Watcher, http_check, ttl_check


@pytest.mark.trio
async def test_silence_makes_a_ttl_check_critical_and_a_heartbeat_passing_at_once(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (ttl_check(interval_ms=30_000),))
    start = trio.current_time()

    async def story() -> None:
        for _ in range(10):
            assert watcher.checker.heartbeat(WEB, None, Health.PASSING, "")
            await trio.sleep(20)
        await trio.sleep(20)
        assert watcher.checker.heartbeat(WEB, "ttl", Health.WARNING, "disk\x1b[31m 91 %\n")

    await watcher.while_running(story)

    assert watcher.told == [
        ("ttl", Health.PASSING, ""),
        ("ttl", Health.CRITICAL, "no heartbeat for 30 s"),
        ("ttl", Health.WARNING, "disk [31m 91 %"),
    ]
    assert 210.0 <= watcher.results[1][0] - start <= 210.1


@pytest.mark.trio
async def test_heartbeat_for_what_is_unknown_is_false(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (http_check(id="http"), ttl_check(id="ttl")))
    other = InstanceKey("web", "other")
    watcher.checker.watch(other, (http_check(id="http"),))

    assert not watcher.checker.heartbeat(WEB, "http", Health.PASSING, "")
    assert not watcher.checker.heartbeat(WEB, "absent", Health.PASSING, "")
    assert not watcher.checker.heartbeat(other, None, Health.PASSING, "")
    assert not watcher.checker.heartbeat(InstanceKey("db", "1"), None, Health.PASSING, "")
    assert watcher.checker.heartbeat(WEB, "ttl", Health.PASSING, "")
    with pytest.raises(ValueError, match="maintenance"):
        watcher.checker.heartbeat(WEB, "ttl", Health.MAINTENANCE, "")


@pytest.mark.trio
async def test_heartbeat_without_an_id_is_for_all_ttl_checks(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (ttl_check(id="a"), http_check(id="http"), ttl_check(id="b")))

    assert watcher.checker.heartbeat(WEB, None, Health.PASSING, "fine")

    assert watcher.told == [("a", Health.PASSING, "fine"), ("b", Health.PASSING, "fine")]
    assert [last.check_id for last in watcher.checker.last(WEB)] == ["a", "b"]


@pytest.mark.trio
async def test_output_of_a_heartbeat_is_cut_to_the_limit(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (ttl_check(),))

    watcher.checker.heartbeat(WEB, None, Health.PASSING, "x" * 100_000)

    [last] = watcher.checker.last(WEB)
    assert len(last.output) == limits.OUTPUT_MAX
    assert last.output.endswith("x…")


@pytest.mark.trio
async def test_silent_instance_expires_after_its_time_in_critical(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    check = ttl_check(interval_ms=30_000, deregister_after_ms=60_000, status=Health.PASSING)
    watcher.checker.watch(WEB, (check,))
    start = trio.current_time()

    await watcher.run_for(100)

    assert watcher.told == [("ttl", Health.CRITICAL, "no heartbeat for 30 s")]
    assert [round(at - start) for at, _, _ in watcher.expired] == [90]


@pytest.mark.trio
async def test_node_that_was_stopped_gives_heartbeats_a_grace(mock_clock: MockClock) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (ttl_check(interval_ms=30_000, status=Health.PASSING),))

    async def story() -> None:
        await wait_all_tasks_blocked()
        mock_clock.jump(100.0)
        await wait_all_tasks_blocked()
        assert watcher.results == []
        mock_clock.jump(9.9)
        await wait_all_tasks_blocked()
        assert watcher.results == []
        mock_clock.jump(0.2)
        await wait_all_tasks_blocked()

    await watcher.while_running(story)

    assert watcher.told == [("ttl", Health.CRITICAL, "no heartbeat for 30 s")]


@pytest.mark.trio
async def test_ten_thousand_ttl_checks_wake_the_node_seldom(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    keys = [InstanceKey("web", str(n)) for n in range(10_000)]
    for key in keys:
        watcher.checker.watch(key, (ttl_check(interval_ms=30_000),))

    async def story() -> None:
        for _ in range(30):  # five minutes of heartbeats every 10 s, in 100 groups
            for group in range(100):
                for key in keys[group::100]:
                    watcher.checker.heartbeat(key, None, Health.PASSING, "")
                await trio.sleep(0.1)

    await watcher.while_running(story)

    assert len(watcher.results) == 10_000, "each became passing once, and none critical"
    assert watcher.checker.wakeups <= 20, "300 s over the 20 s by which the earliest is put off"


@pytest.mark.trio
async def test_ten_thousand_silent_instances_are_noticed_in_few_wakeups(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    for n in range(10_000):
        key = InstanceKey("web", str(n))
        watcher.checker.watch(key, (ttl_check(interval_ms=30_000 + n, status=Health.PASSING),))

    await watcher.run_for(41)

    assert watcher.statuses == [Health.CRITICAL] * 10_000
    assert watcher.checker.wakeups <= 10.0 / 0.05 + 2, "one in 50 ms at most"
