"""How figures are shown: one line a case, or one JSON object."""

import dataclasses
import json
import math

from .figures import Figures, quantile
from .judge import Case

HEAD = (
    "who    n scenario    loss | seen p50/p99/max | <=5s % | held % | wrong pairs/of (s, longest) "
    "| linked (s, longest) dead | heal p50/p99/max | node peak, mean peak, sustained, idle msg/s "
    "| peak, idle B/s"
)


def line(case: Case, figures: Figures) -> str:
    """One line of the table under `HEAD`."""
    who = "K" if case.protocol == "kith" else "S"
    wrong = f"{figures.wrong_s:.1f}, {figures.wrong_longest_s:.1f}"
    linked = f"{figures.linked_s:.1f}, {figures.linked_longest_s:.1f}"
    cells = (
        f"{who} {case.nodes:4d} {case.scenario.text:10s} {case.loss:5.2f}",
        _quantiles(figures.seen_s),
        _percent(figures.seen_in_time),
        _percent(figures.held_to_end),
        f"{figures.wrong_pairs}/{figures.pairs} ({wrong})",
        f"{figures.linked_pairs} ({linked}) {figures.dead}",
        _quantiles(figures.healed_s),
        f"{figures.peak_node} {figures.peak_mean:.0f} {figures.sustained:.1f} {figures.idle:.2f}",
        f"{figures.peak_bytes} {figures.idle_bytes:.0f}",
    )
    return " | ".join(cells)


def document(case: Case, figures: Figures) -> str:
    """The same as JSON on one line; never is null, quantiles instead of all values."""
    values = {
        name: _finite(value)
        for name, value in dataclasses.asdict(figures).items()
        if isinstance(value, int | float)
    }
    head = {
        "protocol": case.protocol,
        "nodes": case.nodes,
        "scenario": case.scenario.text,
        "loss": case.loss,
    }
    spread = {
        f"{name}_{label}": _finite(quantile(times, share))
        for name, times in (("seen_s", figures.seen_s), ("healed_s", figures.healed_s))
        for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }
    shares = {
        "seen_in_time": _finite(figures.seen_in_time),
        "held_to_end": _finite(figures.held_to_end),
    }
    return json.dumps({**head, **spread, **shares, **values}, sort_keys=True)


def _quantiles(times: list[float]) -> str:
    return "/".join(_time(quantile(times, share)) for share in (0.5, 0.99, 1.0))


def _time(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:.2f}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
