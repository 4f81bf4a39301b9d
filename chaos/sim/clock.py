"""A node's own clocks: a monotonic one that may run fast or slow, a wall clock that may also jump.

The world has one time; each node has its own idea of it. Deadlines are in the node's time, so a
node whose clock runs fast is early for everybody else.
"""

from protocol.clocks import Instant

WALL_START_US = 1_800_000_000_000_000
"""What all wall clocks show at the world's zero."""


class Clock:
    """Local seconds from the world's, and back."""

    __slots__ = ("_local", "_rate", "_world", "jump_us")

    def __init__(self) -> None:
        self.jump_us = 0
        """How far the wall clock is off, besides drifting."""
        self._rate = 1.0
        self._world = 0.0
        self._local = 0.0

    def instant(self, world_s: float) -> Instant:
        """What the node's clocks show."""
        local = self.local(world_s)
        return Instant(local, WALL_START_US + self.jump_us + int(local * 1e6))

    def local(self, world_s: float) -> float:
        """The node's monotonic seconds."""
        return self._local + (world_s - self._world) * self._rate

    def world(self, local_s: float) -> float:
        """When in the world the node's monotonic clock will show that."""
        return self._world + (local_s - self._local) / self._rate

    def run_at(self, rate: float, world_s: float) -> None:
        """Run so fast from now on: 1.1 is a tenth too fast."""
        self._local, self._world = self.local(world_s), world_s
        self._rate = rate
