"""Which heads a node holds, and the root over them: both of one moment, seen from outside.

A node tells of each owner's head the dot, epoch and version. That is enough for owners who keep to
the protocol. One who forks has two heads of one dot, so of owners whose keys will be misused the
head's hash is asked for, too, from the first moment on: then equal heads are equal, and honest
nodes can be compared also while somebody lies to them.

Rules this module keeps:

1. What was asked for belongs together if the root was the same before and after.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.cluster.client import Answer, Shape

from .identities import Identities

Ask = Callable[[str, str], Answer]
"""Method and path. May raise NoAnswerError."""


@dataclass(frozen=True, slots=True)
class Heads:
    """What one node holds."""

    dots: Mapping[str, tuple[int, int]]
    """Of each owner's id, epoch and version of its head."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of suspects' ids, the head's hash."""
    villains: tuple[str, ...] = ()
    """The ids of suspects."""
    root: str = ""
    """Over all of them; empty if it changed while they were asked for."""

    @property
    def all(self) -> str:
        """A hash over all heads."""
        return self._hash(self.dots)

    @property
    def honest(self) -> str:
        """The same over the owners that are no suspects."""
        return self._hash([owner for owner in self.dots if owner not in self.villains])

    def _hash(self, owners: Mapping[str, tuple[int, int]] | Sequence[str]) -> str:
        lines = [
            f"{owner} {self.dots[owner][0]} {self.dots[owner][1]} {self.hashes.get(owner, '')}"
            for owner in sorted(owners)
        ]
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def heads_of(
    ask: Ask, identities: Identities, suspects: Sequence[str], *, root: str | None = None
) -> Heads | None:
    """What a node holds now; None if it tells no clock. Raises NoAnswerError.

    Args:
        ask: puts a question to the node.
        identities: whose ids they are.
        suspects: names of nodes whose keys are misused in this run.
        root: what it just said that its root is; without, it is asked.
    """
    before = root_of(ask) if root is None else root
    clock = ask("GET", "/v1/clock").value.get("clock")
    if not isinstance(clock, dict):
        return None
    dots = dots_of(clock)
    villains = tuple(owner for owner in dots if identities.name_of(owner) in suspects)
    hashes = {owner: _newest(ask("GET", f"/v1/owners/{owner}/log?limit=1")) for owner in villains}
    return Heads(dots, hashes, villains, before if root_of(ask) == before else "")


def root_of(ask: Ask) -> str:
    """The root that a node says that it has. Raises NoAnswerError."""
    return str(ask("GET", "/v1/root").value.get("root"))


def _newest(answer: Answer) -> str:
    newest: Shape = next(iter(answer.rows("commits")), {})
    return str(newest.get("hash", ""))


def dots_of(clock: Mapping[str, object]) -> dict[str, tuple[int, int]]:
    """Of each owner's id, epoch and version of the head that a node holds."""
    found = {}
    for owner, dot in clock.items():
        if isinstance(dot, dict):
            epoch, version = dot.get("epoch"), dot.get("version")
            if isinstance(epoch, int) and isinstance(version, int):
                found[owner] = epoch, version
    return found
