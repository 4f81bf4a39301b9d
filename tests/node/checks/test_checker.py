"""The checker in virtual time: hours of checks in milliseconds, with fake servers."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
import trio
from trio.testing import MockClock

from node.checks.checker import CheckLimits, InstanceKey, TooManyChecksError
from protocol.records import Health

from .situations import URL, WEB, FakeServers, Watcher, http_check, ttl_check

API = InstanceKey("api", "api-9000")


@pytest.mark.trio
async def test_first_run_is_at_once_and_later_runs_keep_their_phase(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (http_check(interval_ms=5_000),))
    start = trio.current_time()

    await watcher.run_for(3_602)

    runs = [at - start for at in watcher.servers.times_of(URL)]
    assert runs[0] == 0.0
    assert len(runs) == 721
    assert all(abs(at - 5.0 * n) <= 0.25 + 1e-6 for n, at in enumerate(runs))
    assert len({round(at % 5.0, 6) for at in runs}) > 100, "jitter moves them"
    assert watcher.told == [("http", Health.PASSING, "HTTP 200 in 0 ms")]


@pytest.mark.trio
@pytest.mark.parametrize("interval_ms", [250, 1_000, 5_000, 60_000])
@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("killed_at", [100.0, 102.6, 104.9])
async def test_killed_server_is_critical_within_interval_times_failures_plus_one_second(
    interval_ms: int, failures: int, killed_at: float, autojump_clock: MockClock
) -> None:
    watcher = Watcher(rng=Random(int(killed_at * 10)))
    check = http_check(interval_ms=interval_ms, failures_before_critical=failures)
    watcher.checker.watch(WEB, (check,))
    start = trio.current_time()

    async def story() -> None:
        await trio.sleep(killed_at)
        watcher.servers.refuses = True
        await trio.sleep(300)

    await watcher.while_running(story)

    assert watcher.statuses == [Health.PASSING, Health.CRITICAL]
    at, _, _, _, output = watcher.results[-1]
    assert output == "connection refused"
    needed_s = at - start - killed_at
    assert interval_ms / 1_000 * (failures - 1) - 0.4 <= needed_s
    assert needed_s <= interval_ms / 1_000 * failures + 1.0


class UnluckyRandom(Random):
    """Makes the first jitter as early and all others as late as can be."""

    is_first = True

    def uniform(self, a: float, b: float) -> float:
        earliest, self.is_first = self.is_first, False
        return a if earliest else b


@pytest.mark.trio
async def test_no_jitter_makes_a_long_interval_miss_its_second(autojump_clock: MockClock) -> None:
    watcher = Watcher(rng=UnluckyRandom())
    watcher.checker.watch(WEB, (http_check(interval_ms=60_000, failures_before_critical=2),))
    start = trio.current_time()

    async def story() -> None:
        await trio.sleep(59.9)
        killed_at = watcher.servers.times_of(URL)[-1]
        assert killed_at - start == pytest.approx(59.8), "killed just after the early run"
        watcher.servers.refuses = True
        await trio.sleep(200)
        assert watcher.results[-1][0] - killed_at == pytest.approx(120.4)

    await watcher.while_running(story)

    assert watcher.statuses == [Health.PASSING, Health.CRITICAL]


@pytest.mark.trio
async def test_server_that_returns_is_passing_again_after_enough_passes(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    watcher.checker.watch(WEB, (http_check(passes=3, status=Health.PASSING),))

    async def story() -> None:
        await trio.sleep(13)
        assert watcher.statuses == [Health.CRITICAL]
        watcher.servers.refuses = False
        await trio.sleep(10)
        assert watcher.statuses == [Health.CRITICAL]
        await trio.sleep(5)

    await watcher.while_running(story)

    assert watcher.statuses == [Health.CRITICAL, Health.PASSING]


@pytest.mark.trio
async def test_silent_server_is_given_up_after_its_timeout_and_never_probed_twice_at_a_time(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(takes_s={URL: 1e9}))
    watcher.checker.watch(WEB, (http_check(interval_ms=1_000, timeout_ms=2_500),))

    await watcher.run_for(60)

    assert watcher.told == [("http", Health.CRITICAL, "no answer within 2.5 s")]
    assert watcher.servers.overlaps == 0
    assert 18 <= len(watcher.servers.asked) <= 21, "missed points of the grid are skipped"


@pytest.mark.trio
async def test_servers_that_hang_do_not_delay_those_that_answer(autojump_clock: MockClock) -> None:
    limits = CheckLimits(probes_at_once_max=8, slow_probes_max=6)
    hanging = {f"http://hangs/{n}": 1e9 for n in range(100)}
    watcher = Watcher(servers=FakeServers(takes_s=hanging), limits=limits)

    async def story() -> None:
        for n, url in enumerate(hanging):
            watcher.checker.watch(InstanceKey("hangs", str(n)), (http_check(target=url),))
        await trio.sleep(60)
        watcher.checker.watch(WEB, (http_check(),))
        await trio.sleep(60)

    await watcher.while_running(story)

    runs = watcher.servers.times_of(URL)
    gaps = [after - before for before, after in pairwise(runs)]
    assert len(runs) >= 12
    assert max(gaps) <= 5.5
    assert watcher.servers.running_most <= 8
    assert watcher.servers.overlaps == 0


@pytest.mark.trio
async def test_no_more_probes_run_at_once_than_the_limit(autojump_clock: MockClock) -> None:
    urls = [f"http://web/{n}" for n in range(500)]
    watcher = Watcher(servers=FakeServers(takes_s=dict.fromkeys(urls, 0.5)))
    for n, url in enumerate(urls):
        watcher.checker.watch(InstanceKey("web", str(n)), (http_check(target=url),))

    await watcher.run_for(30)

    assert watcher.servers.running_most == 64
    assert {url for _, url in watcher.servers.asked} == set(urls)
    assert len(watcher.results) == 500


@pytest.mark.trio
async def test_checks_that_come_in_a_crowd_do_not_run_in_one_later(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    for n in range(3_000):
        check = http_check(target=f"http://web/{n}", interval_ms=60_000)
        watcher.checker.watch(InstanceKey("web", str(n)), (check,))
    start = trio.current_time()

    async def story() -> None:
        await trio.sleep(130)
        watcher.checker.watch(WEB, (http_check(),))
        await trio.sleep(0.05)
        assert len(watcher.servers.times_of(URL)) == 1, "who comes alone is run at once"

    await watcher.while_running(story)

    runs = sorted(at - start for at, _ in watcher.servers.asked)
    assert sum(at <= 2.1 for at in runs) >= 3_000, "all have run once after two seconds"
    busiest = max(sum(at <= run < at + 1.0 for run in runs) for at in range(62, 120))
    assert busiest < 150, "50 a second when evenly spread"


@pytest.mark.trio
async def test_unchanged_checks_keep_their_state_and_changed_ones_start_anew(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    other = "http://web/other"
    kept = http_check(id="kept", status=Health.PASSING)
    changed = http_check(id="changed", target=other, status=Health.PASSING)
    watcher.checker.watch(WEB, (kept, changed))

    async def story() -> None:
        await trio.sleep(7)  # two failures of three
        updated = replace(kept, output="of the record", changed_at=5)
        slower = replace(changed, interval_ms=20_000)
        watcher.checker.watch(WEB, (updated, slower))
        await trio.sleep(4)

    await watcher.while_running(story)

    assert watcher.told == [("kept", Health.CRITICAL, "connection refused")]
    assert len(watcher.servers.times_of(other)) == 3, "two at the old interval, one at once"
    assert watcher.checker.checks == 2


@pytest.mark.trio
@pytest.mark.parametrize("is_replaced", [True, False])
@pytest.mark.parametrize("is_deaf", [True, False])
async def test_probe_under_way_comes_to_nothing_when_its_check_goes(
    is_replaced: bool, is_deaf: bool, autojump_clock: MockClock
) -> None:
    watcher = Watcher(servers=FakeServers(takes_s={URL: 1.0}, is_deaf=is_deaf))
    watcher.checker.watch(WEB, (http_check(),))

    async def story() -> None:
        await trio.sleep(0.5)
        assert watcher.checker.probes_running == 1
        if is_replaced:
            watcher.checker.watch(WEB, (ttl_check(id="http"),))
        else:
            watcher.checker.unwatch(WEB)
        await trio.sleep(0.1)
        assert watcher.checker.probes_running == int(is_deaf), "its place is free at once"
        await trio.sleep(20)

    await watcher.while_running(story)

    assert watcher.results == []
    assert watcher.checker.last(WEB) == ()
    assert len(watcher.servers.asked) == 1
    assert (watcher.checker.probes_running, watcher.checker.probes_waiting) == (0, 0)
    assert watcher.checker.checks == int(is_replaced)


@pytest.mark.trio
async def test_record_that_says_otherwise_is_told_again(autojump_clock: MockClock) -> None:
    # A client that registers again with `initial` overwrites the status in the record.
    watcher = Watcher(servers=FakeServers(refuses=True))
    watcher.checker.watch(WEB, (http_check(),))

    async def story() -> None:
        await trio.sleep(1)
        watcher.results.clear()
        watcher.checker.watch(WEB, (http_check(status=Health.PASSING),))
        await trio.sleep(1)

    await watcher.while_running(story)

    assert watcher.told == [("http", Health.CRITICAL, "connection refused")]


@pytest.mark.trio
async def test_other_words_are_told_at_most_every_five_minutes_and_timings_never(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(status=503, body=b"0"))
    watcher.checker.watch(WEB, (http_check(),))
    watcher.servers.takes_s[URL] = 0.010
    start = trio.current_time()

    async def story() -> None:
        await trio.sleep(1_000)  # same words, another timing
        watcher.servers.takes_s[URL] = 0.020
        await trio.sleep(1_000)
        for n in range(1_000):
            watcher.servers.body = str(n).encode()
            await trio.sleep(1.0)

    await watcher.while_running(story)

    times = [at - start for at, *_ in watcher.results]
    assert watcher.results[0][3:] == (Health.CRITICAL, "HTTP 503 in 10 ms: 0")
    assert 2_000 <= times[1] <= 2_010
    assert all(b - a >= 300 for a, b in pairwise(times[1:]))
    assert len(times) == 5


@pytest.mark.trio
async def test_failure_below_the_threshold_is_seen_here_but_not_told(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher()
    watcher.checker.watch(WEB, (http_check(),))

    async def story() -> None:
        await trio.sleep(400)
        watcher.servers.refuses = True
        await trio.sleep(6)
        [last] = watcher.checker.last(WEB)
        assert (last.check_id, last.status, last.output) == (
            "http",
            Health.PASSING,
            "connection refused",
        )
        assert last.at_unix_us > 400_000_000
        watcher.servers.refuses = False
        await trio.sleep(400)

    await watcher.while_running(story)

    assert watcher.told == [("http", Health.PASSING, "HTTP 200 in 0 ms")]


@pytest.mark.trio
async def test_after_a_restart_checks_go_on_from_their_records(autojump_clock: MockClock) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    was_passing = http_check(
        status=Health.PASSING, output="HTTP 200 in 3 ms", failures_before_critical=3
    )
    watcher.checker.watch(WEB, (was_passing,))
    watcher.checker.watch(API, (http_check(output="HTTP 503 in 3 ms"),))

    async def story() -> None:
        await trio.sleep(9)
        assert watcher.results == []
        await trio.sleep(3)

    await watcher.while_running(story)

    assert [key for _, key, *_ in watcher.results] == [WEB]
    assert watcher.told == [("http", Health.CRITICAL, "connection refused")]


@pytest.mark.trio
async def test_critical_for_too_long_expires_once_a_minute_until_unwatched(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    watcher.checker.watch(WEB, (http_check(deregister_after_ms=600_000),))
    start = trio.current_time()

    async def story() -> None:
        await trio.sleep(599)
        assert watcher.expired == []
        await trio.sleep(65)
        watcher.checker.unwatch(WEB)
        await trio.sleep(1_000)

    await watcher.while_running(story)

    assert [(round(at - start, 1), key, check) for at, key, check in watcher.expired] == [
        (600.0, WEB, "http"),
        (660.0, WEB, "http"),
    ]


@pytest.mark.trio
async def test_one_pass_in_between_starts_the_time_to_expiry_anew(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    check = http_check(deregister_after_ms=600_000, failures_before_critical=1)
    watcher.checker.watch(WEB, (check,))

    async def story() -> None:
        await trio.sleep(596)
        watcher.servers.refuses = False
        await trio.sleep(6)
        watcher.servers.refuses = True
        await trio.sleep(595)

    await watcher.while_running(story)

    assert watcher.expired == []
    assert watcher.statuses == [Health.CRITICAL, Health.PASSING, Health.CRITICAL]


@pytest.mark.trio
async def test_callback_may_unwatch_the_instance_that_it_is_called_for(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(refuses=True))
    watcher.on_told = lambda: watcher.checker.unwatch(WEB)
    checks = (
        http_check(id="a", deregister_after_ms=1_000),
        ttl_check(id="b"),
        ttl_check(id="c"),
    )
    watcher.checker.watch(WEB, checks)
    watcher.checker.heartbeat(WEB, None, Health.PASSING, "")

    await watcher.run_for(100)

    assert watcher.told == [("b", Health.PASSING, "")]
    assert watcher.checker.checks == 0


@pytest.mark.trio
async def test_more_checks_than_the_limit_are_refused_and_nothing_changes(
    autojump_clock: MockClock,
) -> None:
    watcher = Watcher(limits=CheckLimits(checks_max=3))
    two = (ttl_check(id="a"), ttl_check(id="b"))
    watcher.checker.watch(WEB, two)

    with pytest.raises(TooManyChecksError, match="run 4, its limit is 3"):
        watcher.checker.watch(API, two)
    assert not watcher.checker.heartbeat(API, None, Health.PASSING, "")

    watcher.checker.watch(WEB, (ttl_check(id="a"), ttl_check(id="c")))
    watcher.checker.watch(API, two[:1])
    assert watcher.checker.checks == 3
    watcher.checker.watch(WEB, ())
    watcher.checker.watch(API, two)
    assert watcher.checker.checks == 2


def test_limits_that_would_stop_all_checks_are_refused() -> None:
    with pytest.raises(ValueError, match="slow_probes_max"):
        CheckLimits(probes_at_once_max=4, slow_probes_max=5)
    with pytest.raises(ValueError, match="checks_max"):
        CheckLimits(checks_max=0)


@pytest.mark.trio
async def test_probes_that_ran_out_of_time_while_we_were_stopped_are_repeated(
    mock_clock: MockClock,
) -> None:
    watcher = Watcher(servers=FakeServers(takes_s={URL: 1.0}))
    watcher.checker.watch(WEB, (http_check(failures_before_critical=1, status=Health.PASSING),))

    async def story() -> None:
        await trio.testing.wait_all_tasks_blocked()
        assert len(watcher.servers.asked) == 1
        mock_clock.jump(60.0)  # as after SIGSTOP: time-out and answer are due at once
        await trio.testing.wait_all_tasks_blocked()
        watcher.servers.takes_s.clear()
        mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked()

    await watcher.while_running(story)

    assert Health.CRITICAL not in watcher.statuses
    assert len(watcher.servers.asked) == 2
