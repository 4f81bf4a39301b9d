"""One shape for all that is measured: what is written is read back, and judged by its goal."""

from pathlib import Path

import orjson
import pytest

from benchmarks.report import (
    Curve,
    Document,
    Goal,
    Measurement,
    Peer,
    PeerValues,
    ReportError,
    Spread,
    curve,
    measure,
    quantile,
    read,
    table,
    write,
)

ETCD = PeerValues("etcd", "3.4.23", [100.0, 50.0, 200.0])
AT_LEAST_THREE = Goal(">=", 3.0, "ratio")


def lookups() -> Measurement:
    return measure(
        "lookups", "1/s", [400.0, 100.0, 200.0], peer=ETCD, goal=AT_LEAST_THREE, note="16 clients"
    )


def test_rounds_become_a_median_with_least_and_most_and_a_ratio_of_each_round() -> None:
    assert lookups() == Measurement(
        name="lookups",
        unit="1/s",
        kith=Spread(200.0, 100.0, 400.0),
        peer=Peer("etcd", "3.4.23", Spread(100.0, 50.0, 200.0)),
        ratio=Spread(2.0, 1.0, 4.0),
        way="kith / peer",
        goal=AT_LEAST_THREE,
        note="16 clients",
    )


def test_where_less_is_better_the_ratio_says_how_many_times_as_good_ours_is() -> None:
    faster = measure("update", "ms", [10.0, 20.0], peer=ETCD, way="peer / kith")

    assert (faster.ratio, faster.way) == (Spread(6.25, 2.5, 10.0), "peer / kith")


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (Goal(">=", 2.0, "ratio"), True),
        (Goal(">=", 2.1, "ratio"), False),
        (Goal("<=", 200.0, "kith"), True),
        (Goal("<=", 199.0, "kith"), False),
    ],
)
def test_a_goal_is_judged_by_the_median_of_what_it_names(
    goal: Goal | None, met: bool | None
) -> None:
    assert measure("it", "", [400.0, 100.0, 200.0], peer=ETCD, goal=goal).met is met


def test_a_goal_about_a_peer_that_was_not_there_is_neither_met_nor_missed() -> None:
    alone = measure("lookups", "1/s", [1.0], goal=AT_LEAST_THREE)

    assert alone.met is None
    assert "| not measured |" in table([alone])


def test_a_peer_that_answered_nothing_is_none_and_gives_no_ratio() -> None:
    alone = measure("lookups", "1/s", [1.0], peer=PeerValues("etcd", "3.4.23", []))

    assert (alone.peer, alone.ratio) == (None, None)


def test_a_round_in_which_the_peer_did_nothing_makes_no_ratio() -> None:
    found = measure("it", "", [1.0, 2.0], peer=PeerValues("etcd", "", [0.0, 1.0]))

    assert found.ratio == Spread(2.0, 2.0, 2.0)


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    line = curve("by-clients", "Lookups", ("clients", "a second"), {"kith": {4: [2.0], 1: [1.0]}})
    least = measure("least", "", [1.0])

    write(path, "lookups", [lookups(), least], curves=[line], about={"clients": 16})

    assert read(path) == Document("lookups", [lookups(), least], [line], {"clients": 16})
    assert line == Curve(
        "by-clients",
        "Lookups",
        "clients",
        "a second",
        {"kith": {1: Spread(1.0, 1.0, 1.0), 4: Spread(2.0, 2.0, 2.0)}},
    )


def test_the_json_of_a_measurement_is_as_all_suites_agreed() -> None:
    assert lookups().document() == {
        "name": "lookups",
        "unit": "1/s",
        "kith": {"median": 200.0, "min": 100.0, "max": 400.0},
        "peer": {"name": "etcd", "version": "3.4.23", "median": 100.0, "min": 50.0, "max": 200.0},
        "ratio": {"median": 2.0, "min": 1.0, "max": 4.0, "of": "kith / peer"},
        "goal": {"op": ">=", "value": 3.0, "of": "ratio"},
        "met": False,
        "note": "16 clients",
    }


def test_two_measurements_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'lookups'"):
        write(tmp_path / "found.json", "lookups", [lookups(), lookups()])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kith": None}, "kith is None, not an object"),
        ({"kith": {"median": "1", "min": 1, "max": 1}}, "kith.median is '1', not a number"),
        ({"goal": {"op": "=", "value": 1, "of": "kith"}}, "goal.op is '='"),
        ({"goal": {"op": ">=", "value": 1, "of": "us"}}, "goal.of is 'us'"),
        ({"unit": 3}, "unit is 3, not a string"),
    ],
)
def test_another_shape_is_refused_by_the_name_of_the_field(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "found.json"
    value = {"suite": "it", "measurements": [{**lookups().document(), **change}]}
    path.write_bytes(orjson.dumps(value))

    with pytest.raises(ReportError, match=words.replace("[", r"\[")):
        read(path)


def test_a_file_that_is_not_there_is_an_error_of_the_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        read(tmp_path / "none.json")


def test_the_table_has_a_line_for_each_and_its_notes_below() -> None:
    small = measure("memory", "MB", [56.78], goal=Goal("<=", 60.0, "kith"), note="16 clients")

    ratio = "2 (1–4) (kith / peer)"
    assert table([lookups(), small]).splitlines() == [
        "|  | unit | Kith | peer | ratio | goal | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"| lookups [1] | 1/s | 200 (100–400) | etcd 100 (50–200) | {ratio} | ≥ 3 × | **no** |",
        "| memory [1] | MB | 56.8 | – | – | ≤ 60 | yes |",
        "",
        "1. 16 clients",
    ]


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
