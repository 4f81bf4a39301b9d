"""What the driver did, in figures.

Rules this module keeps:

1. They only grow, and nothing is decided by them: `/telemetry` shows them.
"""

from dataclasses import dataclass, field

from protocol.errors import RefusalCode


@dataclass(slots=True)
class DriverCounters:
    """What the driver did, for `/telemetry`."""

    refused: dict[RefusalCode, int] = field(default_factory=dict)
    commits: int = 0
    applied: int = 0
    requests: int = 0
    requests_failed: int = 0
    requests_barred: int = 0
    """Not made, because the peer had failed three times in a row."""
    stores_skipped: int = 0
    lag_worst_s: float = 0.0
