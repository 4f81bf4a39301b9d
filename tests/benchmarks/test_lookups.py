"""The benchmark of lookups: what it sends over gRPC, what it reads, and what its figures say."""

from benchmarks.lookups.load import Measured
from benchmarks.lookups.sides import answer, registration
from benchmarks.lookups.summary import Found, figures
from benchmarks.report import Spread


def test_what_is_stored_is_as_long_as_it_is_said_to_be() -> None:
    assert 250 < len(str(registration(9_999))) < 350
    assert 530 < len(answer(0)) == len(answer(9_999)) < 600


def stretch(per_s: float, p99_ms: float) -> Measured:
    return Measured(
        per_s=per_s, p50_ms=1.0, p99_ms=p99_ms, worst_ms=20.0, cpu_us=20.0, requests=1_000,
        errors=0, load_before=0.0,
    )  # fmt: skip


def test_ratios_are_of_rounds_and_goals_are_judged() -> None:
    found = Found(
        kith=[stretch(30_000.0, 1.0), stretch(20_000.0, 3.0), stretch(40_000.0, 1.5)],
        etcd=[stretch(10_000.0, 5.0), stretch(5_000.0, 5.0), stretch(20_000.0, 5.0)],
        hypercorn=[stretch(2_000.0, 9.0)] * 3,
        in_process_us=[2.0, 6.0, 3.0],
    )

    rows = {one.name: one for one in figures(found, {"etcd": "3.4.23"})}

    assert rows["lookups"].ratio == Spread(3.0, 2.0, 4.0)
    assert [(one.name, one.met) for one in rows.values() if one.goal] == [
        ("lookups", True),
        ("lookup, p99", True),
        ("lookups, beside hello", True),
        ("lookups refused or unanswered", True),
        ("lookup in process", True),
    ]


def test_what_was_not_measured_is_left_out() -> None:
    assert figures(Found(), {}) == []
    names = [one.name for one in figures(Found(kith=[stretch(1.0, 1.0)]), {})]
    assert "lookups, beside hello" not in names
