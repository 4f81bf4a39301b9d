"""Which node an id belongs to: a node that lost its disk comes back with another one.

Rules this module keeps:

1. Whoever was ever seen under a name keeps that name: what it left behind is still its own.
"""

import threading

from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Member


class Identities:
    """Names by id, learned from the nodes themselves."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def learn(self, member: Member) -> bool:
        """Ask a node who it is; whether it said so."""
        try:
            node = member.call("GET", "/v1/node").value.get("id")
        except NoAnswerError:
            return False
        if not isinstance(node, str):
            return False
        self.note(node, member.name)
        return True

    def note(self, node: str, name: str) -> None:
        """That id is the node of that name."""
        with self._lock:
            self._names.setdefault(node, name)

    def name_of(self, node: str) -> str:
        """Its name; the id itself for one that nobody has seen."""
        with self._lock:
            return self._names.get(node, node)

    def names(self) -> tuple[str, ...]:
        """Everybody's."""
        with self._lock:
            return tuple(dict.fromkeys(self._names.values()))

    def ids_of(self, name: str) -> tuple[str, ...]:
        """All ids under which a node was seen."""
        with self._lock:
            return tuple(node for node, known in self._names.items() if known == name)
