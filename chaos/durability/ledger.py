"""What clients asked for and what was acknowledged to them, and what may be there afterwards.

Each instance has one writer, who asks for one thing at a time and each time for another value (the
port; none means deregistered). So after any interruption exactly these values are right: the one
acknowledged last, and those asked for since.

Rules this module keeps:

1. An operation is written down before it is sent.
2. Nobody but its own client touches a client's ledger while it works.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from chaos.cluster.client import Shape

SERVICE = "load"


@dataclass(slots=True)
class Operation:
    """One registration, update or (with no port) deregistration."""

    instance: str
    port: int | None
    update_id: str
    """Also the request's id; a deregistration has no other."""
    acknowledged: bool = False
    """Whether its client was told that it is durable."""
    version: int = 0
    """Of the commit that did it, as the client was told; 0 where it was not."""

    @property
    def request(self) -> tuple[str, str, Shape | None]:
        """Method, path and body."""
        if self.port is None:
            return "DELETE", f"/v1/services/{SERVICE}/{self.instance}?owner=self", None
        body: Shape = {
            "name": SERVICE,
            "id": self.instance,
            "port": self.port,
            "update_id": self.update_id,
        }
        return "POST", "/v1/services", body


@dataclass(slots=True)
class Ledger:
    """All operations on some instances, in the order in which they were asked for."""

    operations: dict[str, list[Operation]] = field(default_factory=dict)

    def add(self, operation: Operation) -> None:
        """Write it down, before it is sent."""
        self.operations.setdefault(operation.instance, []).append(operation)

    def recent(self) -> list[Operation]:
        """The newest two on each instance: what a client may well ask once more."""
        return [one for operations in self.operations.values() for one in operations[-2:]]

    def every(self) -> Iterable[Operation]:
        """All of them."""
        return (one for operations in self.operations.values() for one in operations)


Told = Callable[[Operation], bool]
"""Whether an operation had been acknowledged at the moment of which one speaks."""


def acknowledged(operation: Operation) -> bool:
    """By now."""
    return operation.acknowledged


def allowed(operations: Iterable[Operation], told: Told = acknowledged) -> list[int | None]:
    """The ports that may be there, None for nothing: the last acknowledged, and those since."""
    values: list[int | None] = [None]
    for operation in operations:
        if told(operation):
            values.clear()
        values.append(operation.port)
    return values


def wrong(
    ledgers: Iterable[Ledger], found: Mapping[str, int], told: Told = acknowledged
) -> list[str]:
    """A sentence for each instance that is not what it may be; `found` are their ports."""
    said, known = list[str](), set[str]()
    for ledger in ledgers:
        known.update(ledger.operations)
        for instance, operations in ledger.operations.items():
            may, port = allowed(operations, told), found.get(instance)
            if port in may:
                continue
            if port is None:
                said.append(f"{instance}: acknowledged with port {may[0]}, and is missing")
            elif may[0] is None:
                said.append(f"{instance}: not there by what was acknowledged, and has port {port}")
            else:
                said.append(f"{instance}: has port {port}, acknowledged was {may[0]}")
    return said + [f"{name}: nobody asked for it" for name in sorted(found) if name not in known]
