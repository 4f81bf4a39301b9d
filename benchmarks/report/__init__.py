"""One shape for everything that is measured, so that one table can hold it all.

A suite measures, and writes what it found:

    from benchmarks.report import Goal, PeerValues, curve, measure, write

    found = [
        measure("lookups", "1/s", ours, peer=PeerValues("etcd", "3.4.23", theirs),
                goal=Goal(">=", 3.0, "ratio"), note="16 clients"),
    ]
    write(arguments.json, "lookups", found)

`python -m benchmarks` runs suites, and makes tables, pictures and documents of what they wrote.
"""

from .document import Document, read, write
from .shape import (
    Curve,
    Goal,
    Measurement,
    Peer,
    PeerValues,
    ReportError,
    Spread,
    Way,
    curve,
    measure,
    quantile,
)
from .table import table

__all__ = (
    "Curve",
    "Document",
    "Goal",
    "Measurement",
    "Peer",
    "PeerValues",
    "ReportError",
    "Spread",
    "Way",
    "curve",
    "measure",
    "quantile",
    "read",
    "table",
    "write",
)
