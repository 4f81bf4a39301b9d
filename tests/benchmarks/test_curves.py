"""The curves of one node: what is measured becomes pictures, and points lines of the table."""

from pathlib import Path

import pytest

from benchmarks.curves.__main__ import Found
from benchmarks.curves.stocked import stocked
from benchmarks.report import Spread, curve
from benchmarks.report.drawing import DrawingError, draw
from node.durability import DATABASE


def test_what_was_measured_has_a_curve_and_its_points_have_lines() -> None:
    found = Found()
    found.lookups["Kith"] = {1: [100.0, 300.0], 16: [900.0, 700.0]}
    found.memory["resident"] = {1: [55.0]}

    assert [one.name for one in found.curves()] == ["lookups-by-clients", "memory-by-instances"]
    assert found.curves()[0].series == {
        "Kith": {1: Spread(200.0, 100.0, 300.0), 16: Spread(800.0, 700.0, 900.0)}
    }
    assert [(one.name, one.unit) for one in found.figures()] == [
        ("lookups, clients: 1", "1/s"),
        ("lookups, clients: 16", "1/s"),
        ("resident, instances: 1", "MB"),
    ]


def test_a_node_is_stocked_before_it_starts(tmp_path: Path) -> None:
    side = stocked(3, tmp_path)

    assert (tmp_path / "stocked-3" / DATABASE).stat().st_size > 0
    assert side.asked % 2 == "service-2"


@pytest.mark.filterwarnings("ignore")
def test_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines: dict[str, dict[float, list[float]]] = {
        "Kith": {1: [2.0], 256: [1_000.0]},
        "etcd": {1: [1.0]},
    }
    found = curve("it", "It", ("clients", "a second"), lines)

    for name in ("one.svg", "two.svg"):
        draw(found, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert b"clients" in (tmp_path / "one.svg").read_bytes()


def test_a_curve_without_points_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(DrawingError, match="nothing was measured"):
        draw(curve("it", "It", ("x", "y"), {"Kith": {}}), tmp_path / "it.svg")
