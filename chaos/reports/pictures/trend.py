"""A figure over many runs as a row of small bars, for a cell of a table."""

from collections.abc import Sequence

from chaos.reports.markup import Markup, element
from chaos.reports.words import value_of
from chaos.verdict import Verdict

from .frame import box

WIDTH, HEIGHT = 140.0, 28.0
RUNS_MAX = 35
"""The newest; more bars would be too thin to see."""
GAP = 1.0
LEAST = 2.0
"""The height of a bar that is zero, so that it is seen."""


def draw(title: str, name: str, runs: Sequence[tuple[Verdict, float | None]]) -> Markup:
    """The bars, oldest first.

    Args:
        title: what it shows, for who does not see it.
        name: the figure's name, for its unit.
        runs: each run's verdict and figure; None: it was not measured.
    """
    shown = runs[-RUNS_MAX:]
    values = [value for _, value in shown if value is not None]
    most = max(values, default=0.0)
    width = min(12.0, WIDTH / max(1, len(shown)))
    bars = []
    for place, (verdict, value) in enumerate(shown):
        share = value / most if value is not None and most > 0 else 0.0
        height = LEAST + share * (HEIGHT - LEAST)
        told = "not measured" if value is None else value_of(name, value)
        kind = f"value {verdict.value}"
        bars.append(
            box(place * width, HEIGHT - height, width - GAP, height, kind,
                f"{verdict.value}, {told}")
        )  # fmt: skip
    told = ", ".join("–" if value is None else value_of(name, value) for _, value in shown)
    return element(
        "svg",
        {"viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "role": "img", "class": "spark"},
        element("title", {}, f"{title}, oldest first: {told}"),
        *bars,
    )
