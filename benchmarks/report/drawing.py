"""Curves as pictures. Needs matplotlib, which nothing else does.

A picture is the same bytes for the same figures and version of matplotlib: no date, no random ids.
"""

import importlib
from pathlib import Path
from types import ModuleType

from .shape import Curve

INSTALL = "drawing needs matplotlib: pip install 'kith[dev]'"
COLOURS = ("#1b3a4b", "#c8553d", "#7fb069", "#e0a458", "#2a7f9e")
WIDE_FROM = 8.0
"""Sizes that lie apart by so many times stand on a logarithmic axis."""
SIZE_INCHES = (5.6, 3.6)
STYLE = {
    "svg.hashsalt": "kith",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
}
"""Of every picture."""
_STYLE = {**STYLE, "axes.titlesize": 11, "figure.facecolor": "white"}


class DrawingError(Exception):
    """The picture cannot be drawn; the message says what to do."""


def load() -> tuple[ModuleType, ModuleType]:
    """Matplotlib, which is to draw for files, and its pyplot.

    Raises:
        DrawingError: it is not installed.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("svg")
        return matplotlib, importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError:
        raise DrawingError(INSTALL) from None


def draw(curve: Curve, path: Path) -> None:
    """Draw medians as a line, and the least and most of the rounds as a band around it.

    Args:
        curve: what was measured.
        path: an SVG file, replaced if it exists.

    Raises:
        DrawingError: matplotlib is not installed, or there is nothing to draw.
    """
    sizes = sorted({x for points in curve.series.values() for x in points})
    if not sizes:
        raise DrawingError("nothing was measured")
    matplotlib, pyplot = load()
    ticker = importlib.import_module("matplotlib.ticker")
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=SIZE_INCHES, layout="constrained")
        for (name, points), colour in zip(curve.series.items(), _colours(curve), strict=True):
            xs = list(points)
            spreads = list(points.values())
            middles = [one.median for one in spreads]
            axes.plot(xs, middles, label=name, color=colour, marker="o", markersize=3.5)
            lows, highs = [one.min for one in spreads], [one.max for one in spreads]
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
        axes.set(title=curve.title, xlabel=curve.x, ylabel=curve.y)
        if _is_wide(_heights(curve)):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
        else:
            axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _at: f"{value:,g}"))
        if _is_wide(sizes):
            axes.set(xscale="log", xticks=sizes)
            axes.set_xticklabels([f"{size:,g}" for size in sizes])
            axes.minorticks_off()
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _colours(curve: Curve) -> list[str]:
    return [COLOURS[at % len(COLOURS)] for at in range(len(curve.series))]


def _heights(curve: Curve) -> list[float]:
    return [one.median for points in curve.series.values() for one in points.values()]


def _is_wide(values: list[float]) -> bool:
    """Whether they are hard to tell apart on a linear axis."""
    return min(values) > 0 and max(values) / min(values) > WIDE_FROM
