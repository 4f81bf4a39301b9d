"""The thresholds of one check, against a model that keeps its whole history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.checks.thresholds import Thresholds, judge_http
from protocol.records import CheckRecord, Health

from .situations import http_check

RESULTS = st.sampled_from([Health.PASSING, Health.WARNING, Health.CRITICAL])


def run_of(history: list[Health], kinds: set[Health]) -> int:
    length = 0
    for result in reversed(history):
        if result not in kinds:
            break
        length += 1
    return length


def modelled(initial: Health, history: list[Health], check: CheckRecord) -> Health:
    """The rules as the module's docstring states them, read off the history each time anew."""
    status = initial
    for length in range(1, len(history) + 1):
        past = history[:length]
        if run_of(past, {Health.CRITICAL}) >= check.failures_before_critical:
            status = Health.CRITICAL
        elif run_of(past, {Health.PASSING}) >= check.passes_before_passing:
            status = Health.PASSING
        elif status is Health.CRITICAL:
            answers = run_of(past, {Health.PASSING, Health.WARNING})
            if answers >= check.passes_before_passing:
                status = Health.WARNING
        elif past[-1] is Health.WARNING:
            status = Health.WARNING
    return status


@given(
    initial=RESULTS,
    results=st.lists(RESULTS, max_size=30),
    failures=st.integers(1, 4),
    passes=st.integers(1, 4),
)
def test_status_follows_from_the_history(
    initial: Health, results: list[Health], failures: int, passes: int
) -> None:
    check = http_check(status=initial, failures_before_critical=failures, passes=passes)
    machine = Thresholds(check, now=0.0)
    seen: list[Health] = []
    assert machine.status is initial

    for result in results:
        seen.append(result)
        assert machine.receive(result, now=float(len(seen))) is modelled(initial, seen, check)


@given(
    results=st.lists(st.tuples(RESULTS, st.floats(0.1, 10.0)), max_size=40),
    initial=RESULTS,
    failures=st.integers(1, 3),
)
def test_only_an_unbroken_critical_time_expires(
    results: list[tuple[Health, float]], initial: Health, failures: int
) -> None:
    check = http_check(
        status=initial, failures_before_critical=failures, deregister_after_ms=15_000
    )
    machine = Thresholds(check, now=0.0)
    now, since = 0.0, 0.0 if initial is Health.CRITICAL else None

    for result, pause_s in results:
        now += pause_s
        before = machine.status
        machine.receive(result, now=now)
        if machine.status is not Health.CRITICAL:
            since = None
        elif before is not Health.CRITICAL:
            since = now
        assert machine.expired(now=now) is (since is not None and now >= since + 15.0)
        assert machine.expires_at == (None if since is None else since + 15.0)


def test_a_check_that_starts_critical_needs_no_failures_and_stays_so_until_enough_passes() -> None:
    machine = Thresholds(http_check(failures_before_critical=3, passes=2), now=0.0)

    assert machine.receive(Health.CRITICAL, now=1.0) is Health.CRITICAL
    assert machine.receive(Health.PASSING, now=2.0) is Health.CRITICAL
    assert machine.receive(Health.CRITICAL, now=3.0) is Health.CRITICAL
    assert machine.receive(Health.PASSING, now=4.0) is Health.CRITICAL
    assert machine.receive(Health.PASSING, now=5.0) is Health.PASSING


def test_a_server_that_only_ever_says_too_many_requests_is_warning_and_does_not_expire() -> None:
    machine = Thresholds(http_check(passes=2, deregister_after_ms=5_000), now=0.0)

    statuses = [machine.receive(Health.WARNING, now=float(now)) for now in range(1, 10)]

    assert statuses == [Health.CRITICAL] + [Health.WARNING] * 8
    assert not machine.expired(now=100.0)


def test_without_deregister_after_nothing_ever_expires() -> None:
    machine = Thresholds(http_check(deregister_after_ms=0), now=0.0)

    assert machine.expires_at is None
    assert not machine.expired(now=1e9)


def test_a_heartbeat_settles_the_status_at_once_whatever_the_thresholds() -> None:
    machine = Thresholds(http_check(failures_before_critical=3, passes=3), now=0.0)

    assert machine.settle(Health.PASSING, now=1.0) is Health.PASSING
    assert machine.settle(Health.CRITICAL, now=2.0) is Health.CRITICAL
    assert machine.critical_since == 2.0


@pytest.mark.parametrize(
    ("status", "health"),
    [
        (100, Health.CRITICAL),
        (199, Health.CRITICAL),
        (200, Health.PASSING),
        (204, Health.PASSING),
        (299, Health.PASSING),
        (300, Health.CRITICAL),
        (302, Health.CRITICAL),
        (404, Health.CRITICAL),
        (428, Health.CRITICAL),
        (429, Health.WARNING),
        (430, Health.CRITICAL),
        (503, Health.CRITICAL),
    ],
)
def test_http_statuses_are_judged_as_documented(status: int, health: Health) -> None:
    assert judge_http(status) is health
