"""What the benchmark of clusters writes: ratios of blocks that took turns, and the curve."""

from pathlib import Path

from benchmarks.cluster.measure import Findings
from benchmarks.cluster.summary import figures, medians_of, update_curve, write_figures
from benchmarks.report import Measurement, Peer, Spread, read

ABOUT = {"versions": ["kith 0", "serf 9"]}
KITH = [
    Findings(update_all_ms=[10.0, 20.0, 30.0], idle_bytes=[100.0]),
    Findings(update_all_ms=[40.0], idle_bytes=[300.0], false_alarms=1, missed=["x"]),
]
SERF = [
    Findings(update_all_ms=[200.0, 300.0], idle_bytes=[200.0]),
    Findings(update_all_ms=[200.0], idle_bytes=[200.0]),
]


def by_name() -> dict[str, Measurement]:
    return {one.name: one for one in figures({"kith": KITH, "serf": SERF}, ABOUT)}


def test_an_update_is_compared_block_by_block_and_shown_over_all() -> None:
    found = by_name()["an update on all others, p50"]

    assert (found.kith, found.peer) == (
        Spread(25.0, 10.0, 40.0),
        Peer("Serf", "serf 9", Spread(200.0, 200.0, 300.0)),
    )
    assert (found.ratio, found.way) == (Spread(8.75, 5.0, 12.5), "peer / kith")
    assert found.met is True


def test_a_quantile_is_of_a_block_each() -> None:
    assert by_name()["an update on all others, p99"].kith == Spread(35.0, 30.0, 40.0)


def test_idle_traffic_may_not_be_more_than_that_of_serf() -> None:
    found = by_name()["idle traffic of a node"]

    assert (found.ratio, found.met) == (Spread(1.0, 0.5, 1.5), True)


def test_what_was_not_measured_has_no_line_and_failures_always_have_one() -> None:
    names = by_name()

    assert "a killed node noticed by all" not in names
    for name in ("not within its bound", "false alarms: a live one taken for gone"):
        assert (names[name].kith, names[name].met) == (Spread(1.0, 1.0, 1.0), False)


def test_without_serf_there_are_our_figures_and_no_verdict() -> None:
    alone = {one.name: one for one in figures({"kith": KITH}, ABOUT)}

    assert alone["an update on all others, p50"].peer is None
    assert alone["an update on all others, p50"].met is None


def test_the_curve_has_a_point_for_each_size_of_each_side() -> None:
    found = update_curve({4: {"kith": [KITH[1]], "serf": []}, 32: {"kith": KITH, "serf": SERF}})

    assert found.series == {
        "Kith": {4: Spread(40.0, 40.0, 40.0), 32: Spread(30.0, 20.0, 40.0)},
        "Serf": {32: Spread(225.0, 200.0, 250.0)},
    }


def test_the_file_holds_every_single_measurement_too(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"

    write_figures(path, {"kith": KITH, "serf": SERF}, {}, ABOUT, 32)

    about = read(path).about
    assert about["medians"] == {
        "kith": {"update_all_ms": 25.0, "idle_bytes": 200.0},
        "serf": {"update_all_ms": 200.0, "idle_bytes": 200.0},
    }
    assert medians_of(KITH[0]) == {"update_all_ms": 20.0, "idle_bytes": 100.0}
    assert isinstance(about["blocks"], dict)
    assert about["blocks"]["kith"][1]["missed"] == ["x"]
