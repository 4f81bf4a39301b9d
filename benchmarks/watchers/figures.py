"""What was found, in the shape of all benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Goal, Measurement, measure, quantile, write

SUITE = "watchers"
NONE = Goal("<=", 0.0, "kith")


@dataclass(slots=True)
class Found:
    """All that one run measured. Times in ms, one for each change or each answer."""

    all_ms: list[float] = field(default_factory=list)
    """From the acknowledgement of a change until the last watcher had it."""
    all_since_sent_ms: list[float] = field(default_factory=list)
    each_ms: list[float] = field(default_factory=list)
    """From the acknowledgement until one watcher had it; may be negative: it was sooner there."""
    acknowledged_ms: list[float] = field(default_factory=list)
    """From sending a change to its acknowledgement."""
    answers: int = 0
    woken_others: int = 0
    spurious: int = 0
    memory_before_mb: float = 0.0
    memory_with_mb: float = 0.0
    memory_after_mb: float = 0.0
    per_watcher_kb: float = 0.0
    cpu_us: float = 0.0
    """Processor time of the node for one watcher that is answered and polls again."""
    idle_cpu_before: float = 0.0
    idle_cpu_with: float = 0.0

    def add(self, sent: float, acknowledged: float, times: Sequence[float]) -> None:
        """One change, in seconds of one clock."""
        self.all_ms.append((max(times) - acknowledged) * 1_000)
        self.all_since_sent_ms.append((max(times) - sent) * 1_000)
        self.each_ms += [(one - acknowledged) * 1_000 for one in times]
        self.acknowledged_ms.append((acknowledged - sent) * 1_000)


def figures(found: Found) -> list[Measurement]:
    """One line for each."""
    rows: list[Measurement] = []

    def row(name: str, unit: str, value: float, goal: Goal | None = None, note: str = "") -> None:
        rows.append(measure(name, unit, [value], goal=goal, note=note))

    for words, values in (
        ("a change is with all its watchers, after its acknowledgement", found.all_ms),
        ("a change is with all its watchers, after it was sent", found.all_since_sent_ms),
        ("a change is with one watcher, after its acknowledgement", found.each_ms),
        ("a change is acknowledged", found.acknowledged_ms),
    ):
        if values:
            row(f"{words}, p50", "ms", quantile(values, 0.50))
            row(f"{words}, p99", "ms", quantile(values, 0.99))
            row(f"{words}, slowest", "ms", max(values))
    row("answers to those who watch the service", "", found.answers)
    row("answers to those who watch others", "", found.woken_others, NONE)
    row("watchers woken for nothing", "", found.spurious, NONE)
    row(
        "processor time of the node for one watcher, answered and polling again", "µs", found.cpu_us
    )
    row("memory without watchers", "MB", found.memory_before_mb)
    row("memory with watchers", "MB", found.memory_with_mb)
    row("memory after the changes", "MB", found.memory_after_mb)
    row("memory for one watcher", "kB", found.per_watcher_kb)
    row("idle, without watchers", "ms/s", found.idle_cpu_before, note="processor time")
    row("idle, with watchers", "ms/s", found.idle_cpu_with, note="processor time")
    return rows


def write_figures(path: Path, found: Found, about: Mapping[str, object]) -> None:
    """Write the figures, and beside them every change as it was measured."""
    changes = {"all_ms": found.all_ms, "acknowledged_ms": found.acknowledged_ms}
    write(path, SUITE, figures(found), about={**about, "changes_measured": changes})
