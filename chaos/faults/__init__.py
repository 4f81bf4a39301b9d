"""What can go wrong, done to a real cluster from outside: one group of faults a file.

Rules this layer keeps:

1. A fault is injected and healed; healing works after half an injection, and twice.
2. What it does to links and processes it notes as it happens, for the checkers judge by that.
3. It knows nodes by name and nothing of the scenario that it is part of.
"""

from collections.abc import Mapping

from .bandwidth import BANDWIDTH
from .cuts import CUTS
from .delay import DELAY
from .dns import DNS
from .fault import FaultKind
from .hostile import HOSTILE
from .lives import LIVES
from .surroundings import SURROUNDINGS

FAULTS: Mapping[str, FaultKind] = {
    kind.name: kind for kind in (*CUTS, *LIVES, *SURROUNDINGS, *HOSTILE, DELAY, BANDWIDTH, DNS)
}
"""By the name that scenarios use."""

__all__ = ("FAULTS",)
