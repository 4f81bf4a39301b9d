"""A fault: what it is to a runner, and what it may use.

Rules this module keeps:

1. `inject` and `heal` are called from one thread, never two at a time on one cluster.
2. Whatever was injected is healed at the end, also one whose injection failed; the runner sees to
   that, and `heal` must bear it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from chaos.cluster.cluster import Ability, Cluster
from chaos.history import Life

Value = str | int | float | bool | list["Value"] | dict[str, "Value"]
"""What a scenario's file may hold."""
Table = Mapping[str, Value]


class FaultError(Exception):
    """A fault could not be injected or healed; in a sentence. The run goes on to heal the rest."""


class UnreadableFaultError(Exception):
    """A scenario describes a fault that none can be: field, value, and what it should be."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(f"{field_name}: {message}")
        self.field = field_name
        self.what = message


class Notes(Protocol):
    """Where faults tell what they did, at the moment that they do it."""

    def life(self, node: str, life: Life) -> None:
        """A node's process, or its disk, changed."""

    def links(
        self,
        blocked: frozenset[tuple[str, str]],
        *,
        loss: float = 0.0,
        hard: bool = False,
        late: bool = False,
    ) -> None:
        """What all links carry from now on, as `chaos.history.Links` has it."""

    def villain(self, node: str) -> None:
        """From now on that node, or whoever has its keys, does not keep to the protocol."""

    def say(self, text: str) -> None:
        """One line, for who watches and for the report."""


@dataclass(slots=True)
class Stage:
    """What faults act on."""

    cluster: Cluster
    notes: Notes
    rng: Random
    held: dict[str, object] = field(default_factory=dict)
    """What faults of one kind share while the run lasts, by a name of their own."""
    means: dict[str, str] = field(default_factory=dict)
    """By kind of fault, where there are several: by which means it was done, for the record."""


class Fault(Protocol):
    """Something wrong."""

    def inject(self, stage: Stage) -> None:
        """Raises FaultError or ClusterError."""

    def heal(self, stage: Stage) -> None:
        """Undo it; harmless when repeated or when it was not injected. Raises as `inject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A fault that scenarios can name."""

    name: str
    summary: str
    """One line, for lists and documentation."""
    needs: frozenset[Ability]
    fields: Mapping[str, str]
    """What a table of it may hold, each with a line about it: unit, bounds, default."""
    read: Callable[[Table, tuple[str, ...]], Fault]
    """From a scenario's table, and the names of all nodes. Raises UnreadableFaultError."""
    victims: Callable[[Table, tuple[str, ...]], tuple[str, ...]]
    """The nodes that it puts out of action, wholly or in part; for safety limits and reports."""


def nobody(_table: Table, _names: tuple[str, ...]) -> tuple[str, ...]:
    """The victims of a fault that no node is the victim of."""
    return ()
