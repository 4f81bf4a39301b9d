"""The benchmark of registrations notices what was acknowledged and is not there."""

from benchmarks.registrations.load import Measured, missing
from benchmarks.registrations.summary import figures
from benchmarks.report import Spread

KEYS = 10


def test_all_is_there_if_the_newest_stands_under_each_key() -> None:
    assert missing(range(15, 25), 25, KEYS) == set()
    assert missing(range(7), 7, KEYS) == set()


def test_an_older_one_under_a_key_and_a_key_that_is_gone_are_noticed() -> None:
    kept = [number for number in range(15, 25) if number not in {17, 20}]

    assert missing([*kept, 7], 25, KEYS) == {17, 20}
    assert missing([], 3, KEYS) == {0, 1, 2}


def stretch(per_s: float, p99_ms: float, lost: int) -> Measured:
    return Measured(
        per_s=per_s, p50_ms=1.0, p99_ms=p99_ms, worst_ms=20.0, cpu_us=100.0, requests=1_000,
        errors=0, lost=lost, load_before=0.0,
    )  # fmt: skip


def test_the_figures_are_ratios_of_rounds_and_a_single_loss_is_not_hidden_by_a_median() -> None:
    ours = [stretch(100.0, 9.0, 0), stretch(300.0, 5.0, 0), stretch(100.0, 8.0, 1)]
    theirs = [stretch(100.0, 5.0, 0), stretch(100.0, 5.0, 0), stretch(200.0, 5.0, 0)]

    found = {
        one.name: one
        for one in figures({"kith": ours, "etcd": theirs}, {"versions": ["kith", "etcd 3"]})
    }

    assert found["durable registrations"].ratio == Spread(1.0, 0.5, 3.0)
    assert found["durable registrations"].met is True
    assert found["durable registration, p99"].met is True
    assert found["registrations acknowledged and not there"].kith == Spread(1.0, 1.0, 1.0)
    assert found["registrations acknowledged and not there"].met is False
