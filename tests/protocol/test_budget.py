"""Tokens, "once in", deadlines."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.detector.budget import LIMITER_KEYS_MAX, Agenda, Bucket, Deed, Limiter, Occasion
from protocol.identity import NodeId
from tests.protocol.small_world import node_id

A, B = node_id(1), node_id(2)


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(24.0, 24.0, now=0.0)

    assert sum(bucket.take(now=0.0) for _ in range(100)) == 24
    assert sum(bucket.take(now=1.0) for _ in range(100)) == 24
    assert sum(bucket.take(reserve=4, now=2.0) for _ in range(100)) == 20


def test_a_debt_is_paid_before_others_are_served() -> None:
    bucket = Bucket(10.0, 10.0, now=0.0)
    bucket.owe(100, debt_max=5, now=0.0)

    assert not bucket.take(now=0.5)
    assert not bucket.take(now=0.59)
    assert bucket.take(now=0.7)


@given(st.floats(0.1, 100), st.floats(5, 50), st.integers(1, 5), st.floats(0, 1e6))
def test_after_the_wait_there_are_tokens(
    rate: float, burst: float, tokens: int, now: float
) -> None:
    bucket = Bucket(rate, burst, now=now)
    bucket.owe(1_000, debt_max=8, now=now)

    assert bucket.take(tokens, now=now + bucket.wait_s(tokens, now=now) + 1e-4)


def test_an_occasion_passes_once_in_its_time_for_each_member() -> None:
    limiter = Limiter()

    passed = [
        limiter.passes(Occasion.RETURN, node, every_s=1.0, now=now)
        for node, now in ((A, 0.0), (A, 0.9), (B, 0.9), (A, 1.0), (A, 1.5))
    ]

    assert passed == [True, False, True, True, False]


def test_the_limiter_forgets_the_oldest_beyond_its_limit() -> None:
    limiter = Limiter()
    for number in range(LIMITER_KEYS_MAX + 1):
        limiter.passes(Occasion.ASKED, NodeId(number.to_bytes(32, "big")), every_s=9e9, now=0.0)

    assert len(limiter) == LIMITER_KEYS_MAX
    assert limiter.passes(Occasion.ASKED, NodeId(bytes(32)), every_s=9e9, now=1.0)


@given(st.integers(0, 2**32))
def test_the_agenda_does_what_a_plain_table_would(seed: int) -> None:
    rng = Random(seed)
    agenda, table = Agenda(), dict[tuple[Deed, NodeId], float]()
    now = 0.0
    for _ in range(60):
        key = rng.choice([Deed.LATE, Deed.TRY]), rng.choice([A, B])
        at = now + rng.randrange(10)
        match rng.randrange(6):
            case 0:
                agenda.set(*key, at)
                table[key] = at
            case 1:
                agenda.put_off(*key, at)
                table[key] = max(at, table.get(key, at))
            case 2:
                agenda.hasten(*key, at)
                table[key] = min(at, table.get(key, at))
            case 3:
                agenda.drop(*key)
                table.pop(key, None)
            case 4:
                agenda.shift(Deed.LATE, 2.0)
                table = {k: t + 2.0 * (k[0] is Deed.LATE) for k, t in table.items()}
            case _:
                now += rng.randrange(6)
                due = {k for k, t in table.items() if t <= now}
                while (popped := agenda.pop_due(now=now)) is not None:
                    assert popped in due
                    due.remove(popped)
                    del table[popped]
                assert not due
        assert agenda.next_deadline == min(table.values(), default=float("inf"))
