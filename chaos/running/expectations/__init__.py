"""What a scenario expects besides the invariants, by name; and whether it came so.

    sides           what each node says of the partition at a moment
    noticed         nodes that are gone are known to be gone, soon enough
    nobody-away     at most so many live nodes were taken for gone, and not for long
    refused         critical changes are refused, with that code
    evidence        everybody holds evidence against a node
    ready           what nodes say of their readiness at a moment
    prompt          nodes answer at once at a moment
    sees            nodes take others for alive at a moment
    memory          how much memory nodes take at most
    log-has-not     nothing broke inside: no error with an exception in the logs
    healed          steady again soon enough
    lookups-failed  at most so many lookups were not answered
    updates-lost    what was acknowledged is there at the end
    writes-go-on    nodes acknowledge writes while faults last

To add one, write how its table is read and how it is judged, and name it in `NODES`, `PRESENCE` or
`CLIENTS`.
"""

from collections.abc import Mapping

from chaos.running.record import Expected
from chaos.scenarios.scenario import Expectation

from .clients import CLIENTS
from .kind import AT_THE_END, ExpectationKind, Expects, Scene
from .nodes import NODES
from .presence import PRESENCE

EXPECTATIONS: Mapping[str, ExpectationKind] = {
    kind.name: kind for kind in (*NODES, *PRESENCE, *CLIENTS)
}
"""By the name that scenarios use."""


def read(expectation: Expectation, names: tuple[str, ...]) -> Expects:
    """An expectation that was checked before."""
    return EXPECTATIONS[expectation.kind].read(expectation.table, names)


def judge(scene: Scene, expects: Expects, place: int) -> Expected:
    """How an expectation came out."""
    verdict, why = expects.judge(scene, scene.looked.get(place))
    return Expected(expects.text, verdict, why)


__all__ = ("AT_THE_END", "EXPECTATIONS", "ExpectationKind", "Expects", "Scene", "judge", "read")
