"""What both sides of the comparison can do, so that one procedure measures them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from .fleet import Fleet

SEEDS = 3
"""Others that each process is told of, on both sides."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Update:
    """One update on its way: times in ms from sending it; None where it did not arrive in time."""

    acknowledged_ms: float
    half_ms: float | None
    """Until half of the others had it."""
    all_ms: float | None
    """Until all others had it."""

    @classmethod
    def of(
        cls, sent_ns: int, acknowledged_ns: int, arrivals_ns: Sequence[int], awaited: int
    ) -> Self:
        """From the times of arrival, in ns."""
        took = sorted((at_ns - sent_ns) / NS_PER_MS for at_ns in arrivals_ns)
        half = (awaited + 1) // 2
        return cls(
            acknowledged_ms=(acknowledged_ns - sent_ns) / NS_PER_MS,
            half_ms=took[half - 1] if len(took) >= half > 0 else None,
            all_ms=took[-1] if len(took) == awaited > 0 else None,
        )


class Side(Protocol):
    """One of the two programs, with so many processes of it."""

    name: str
    fleet: Fleet
    ports: range
    """Where its processes hear each other, UDP and TCP."""

    def connect(self) -> None:
        """Prepare for updates, once all have joined."""

    def reconnect(self, index: int) -> None:
        """The same for one that was started again."""

    def update(self, index: int, number: int, within_s: float) -> Update:
        """Let one process tell all others something new."""
