"""What must hold, one checker a file: a history goes in, a finding comes out.

Rules this layer keeps:

1. A checker is pure and knows nothing of how the history was made.
2. It names the smallest case that breaks its rule, and says in its head what it excuses.
3. Where nothing was looked at the verdict is unknown.
"""

from collections.abc import Callable

from chaos.history import History
from chaos.verdict import Finding

from . import (
    authenticity,
    bounded,
    burial,
    delivery,
    detection,
    documents,
    evidence,
    false_death,
    reports,
    resurrection,
    roots,
    rotation,
    set_full,
)
from .limits import Limits

Checker = Callable[[History, Limits], Finding]

CHECKERS: tuple[tuple[str, Checker], ...] = (
    ("set_full", set_full.check),
    ("resurrection", resurrection.check),
    ("roots", roots.check),
    ("false_death", false_death.check),
    ("burial", burial.check),
    ("detection", detection.check),
    ("authenticity", authenticity.check),
    ("bounded", bounded.check),
    ("documents", documents.check),
    ("evidence", evidence.check),
    ("reports", reports.check),
    ("rotation", rotation.check),
    ("delivery", delivery.check),
)


def check_all(history: History, limits: Limits) -> tuple[Finding, ...]:
    """Every checker's word on one history, in the order of the invariants."""
    return tuple(check(history, limits) for _, check in CHECKERS)


__all__ = ("CHECKERS", "Checker", "Limits", "check_all")
