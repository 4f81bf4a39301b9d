"""The curve as a picture. Needs matplotlib, which nothing else does.

The picture is the same bytes for the same data and version of matplotlib: no date, no random ids.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report.drawing import STYLE, load

from .tables import Row

TIMES = (
    ("half_ms", "half of the nodes", "#7fb069"),
    ("most_ms", "99 %", "#2a7f9e"),
    ("all_ms", "all", "#1b3a4b"),
)


def draw_curve(rows: Sequence[Row], path: Path) -> None:
    """Draw time and cost of an update by the size of the cluster.

    Args:
        rows: as `curve.rows_of` gives them.
        path: an SVG file, replaced if it exists.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    matplotlib, pyplot = load()
    losses = sorted(dict.fromkeys(_number(row, "loss_percent") for row in rows))
    sizes = sorted(dict.fromkeys(_number(row, "nodes") for row in rows))
    with matplotlib.rc_context(STYLE):
        figure, (times, costs) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        for loss, line in zip(losses, ("-", "--", ":", "-."), strict=False):
            found = [row for row in rows if row["loss_percent"] == loss]
            where = "no loss" if not loss else f"{loss:g} % of all datagrams lost"
            for field, title, colour in TIMES:
                label = f"{title}, {where}"
                style = {"color": colour, "linestyle": line, "marker": "o", "markersize": 3.5}
                times.plot(*_points(found, field), label=label, **style)
            style = {"color": "#1b3a4b", "linestyle": line, "marker": "o", "markersize": 3.5}
            costs.plot(*_points(found, "datagrams"), label=where, **style)
        times.set(ylabel="milliseconds, median", title="An update reaches", ylim=(0, None))
        most = max(_number(row, "datagrams") for row in rows)
        costs.set(ylabel="datagrams sent", title="What it costs each node", ylim=(0, 1.25 * most))
        for axes in (times, costs):
            axes.set(xscale="log", xlabel="nodes", xticks=sizes)
            axes.set_xticklabels([f"{size:,.0f}" for size in sizes])
            axes.minorticks_off()
        times.legend(frameon=False, fontsize=8)
        costs.legend(frameon=False, fontsize=8, loc="lower right")
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _points(rows: Sequence[Row], field: str) -> tuple[list[float], list[float]]:
    pairs = sorted(
        (_number(row, "nodes"), _number(row, field)) for row in rows if row[field] is not None
    )
    return [nodes for nodes, _ in pairs], [value for _, value in pairs]


def _number(row: Row, field: str) -> float:
    value = row[field]
    assert isinstance(value, int | float)
    return value
