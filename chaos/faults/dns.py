"""Names that nodes look up: no answer, no such name, or the address of somebody else.

    silent     the name server does not answer; look-ups time out
    unknown    it says that there is no such name
    wrong      it says an address that is not the node's: another node's, or nobody's

Rules this module keeps:

1. Of several faults that bend one name for one node the last holds; each heals its own.
2. How many questions met a lie is said when it is healed: a fault that nobody met proves nothing.
"""

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from chaos.cluster.cluster import Ability, member_named

from .fault import FaultKind, Stage, Table, nobody
from .fields import Fields
from .hands import each

SILENT, UNKNOWN, WRONG = "silent", "unknown", "wrong"
_HOWS = (SILENT, UNKNOWN, WRONG)
_EVERY_NAME = "*"
_KEY = "dns"
_NOBODYS = 253
"""In the nodes' network: within reach, and no node has it."""


class Lies:
    """What all faults in force let each node's look-ups meet; one for a stage."""

    def __init__(self) -> None:
        self._lies: dict[str, dict[object, Mapping[str, str | None]]] = {}
        self._lock = threading.Lock()

    @staticmethod
    def of(stage: Stage) -> "Lies":
        """The stage's own."""
        found = stage.held.get(_KEY)
        if not isinstance(found, Lies):
            found = stage.held[_KEY] = Lies()
        return found

    def put(
        self, stage: Stage, node: str, owner: object, lies: Mapping[str, str | None] | None
    ) -> int:
        """Let a fault tell a node this, or no more; how many questions met a lie until now.

        Raises ClusterError.
        """
        with self._lock:
            every = self._lies.setdefault(node, {})
            every.pop(owner, None)
            if lies is not None:
                every[owner] = lies
            told: dict[str, str | None] = {}
            for one in every.values():
                if _EVERY_NAME in one:
                    told.clear()
                told.update(one)
            return member_named(stage.cluster, node).bend_names(told)


@dataclass(slots=True, eq=False, kw_only=True)
class Bent:
    """Names that are answered so when these nodes look them up."""

    nodes: tuple[str, ...]
    names: tuple[str, ...]
    """Whose names; none: every name."""
    how: str
    to: str
    """The node whose address is told; empty: nobody's."""
    _bent: list[str] = field(default_factory=list, init=False)
    _met_count: int = field(default=0, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"host names are {self.how} to {' '.join(self.nodes)}")
        said = self._said(stage)
        lies = dict.fromkeys(self.names or (_EVERY_NAME,), said)
        for name in self.nodes:
            self._bent.append(name)
            Lies.of(stage).put(stage, name, self, lies)

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        if not self._bent:
            return
        each(tuple(self._bent), partial(self._straighten, stage))
        stage.notes.say(f"host names are right again; {self._met_count} questions met a lie")

    def _straighten(self, stage: Stage, name: str) -> None:
        self._met_count += Lies.of(stage).put(stage, name, self, None)
        self._bent.remove(name)

    def _said(self, stage: Stage) -> str | None:
        if self.how != WRONG:
            return None if self.how == SILENT else ""
        if self.to:
            return member_named(stage.cluster, self.to).address
        one = stage.cluster.members[0].address
        return str(ipaddress.ip_network(f"{one}/24", strict=False).network_address + _NOBODYS)


def _read(table: Table, names: tuple[str, ...]) -> Bent:
    fields = Fields(table)
    how = fields.text("how", SILENT)
    if how not in _HOWS:
        raise fields.wrong("how", f"{how!r} is none of {', '.join(_HOWS)}")
    to = fields.nodes("to", names) if fields.has("to") else ()
    fault = Bent(
        nodes=fields.nodes("nodes", names, names),
        names=fields.nodes("names", names) if fields.has("names") else (),
        how=how,
        to="".join(to[:1]),
    )
    fields.end()
    if to and (how != WRONG or len(to) > 1):
        raise fields.wrong("to", 'name one node, beside how = "wrong"')
    return fault


DNS = FaultKind(
    name="dns",
    summary="host names of nodes are not found, not answered, or lead to a wrong address",
    needs=frozenset({Ability.NAMES}),
    fields={
        "nodes": "names of nodes that look them up in vain; all",
        "names": "nodes whose host names are meant; every name",
        "how": "silent, unknown or wrong; silent",
        "to": 'one node whose address is told instead, ["a"], with wrong; nobody\'s',
    },
    read=_read,
    victims=nobody,  # who runs knows addresses
)
