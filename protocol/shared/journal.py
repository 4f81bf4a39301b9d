"""What a registry noted for those who watch it: which services and instances look otherwise.

The registry writes while it changes; whoever drives the machine takes all out after each input, so
that no more is kept than one input changes. A simulated peer has no journal, and notes nothing.
"""

from dataclasses import dataclass
from typing import TypeAlias

from protocol.identity import NodeId
from protocol.records import ServiceRecord


@dataclass(frozen=True, slots=True)
class InstanceStep:
    """One instance was set, replaced or removed by its owner."""

    owner: NodeId
    old: ServiceRecord | None
    new: ServiceRecord | None


@dataclass(frozen=True, slots=True)
class OwnerStep:
    """Something beside its records changed how all instances of an owner are seen."""

    owner: NodeId


Step: TypeAlias = InstanceStep | OwnerStep


class Journal:
    """Written by one registry, taken out by one reader."""

    __slots__ = ("_services", "_steps", "keeps_steps")

    def __init__(self) -> None:
        self.keeps_steps = False
        """Whether somebody wants to know of each instance, not of services alone; else no steps."""
        self._services: dict[str, None] = {}
        self._steps: list[Step] = []

    def __bool__(self) -> bool:
        return bool(self._services or self._steps)

    def changed(self, service: str) -> None:
        """The change index of a service rose."""
        self._services[service] = None

    def step(self, step: Step) -> None:
        """An instance, or all of an owner, may look otherwise now. Only where `keeps_steps`."""
        self._steps.append(step)

    def take(self) -> tuple[dict[str, None], list[Step]]:
        """All services and steps since the last time, in order."""
        services, self._services = self._services, {}
        steps, self._steps = self._steps, []
        return services, steps
