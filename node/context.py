"""What the parts of a running node share. Made once by `server`; nothing in it is replaced."""

from dataclasses import dataclass

from protocol.identity import NodeId
from protocol.peer import Peer
from storage import Writer

from .checks.checker import HealthChecker
from .config import NodeConfig
from .driver import Driver
from .lifecycle import Lifecycle


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """A running node, as its HTTP API sees it."""

    config: NodeConfig
    me: NodeId
    driver: Driver
    writer: Writer
    checker: HealthChecker
    lifecycle: Lifecycle
    started_at_us: int
    """Unix microseconds."""
    secret: bytes | None
    """The shared secret that callers must show, or None where the API is open."""

    @property
    def peer(self) -> Peer:
        """The machine, for reading."""
        return self.driver.peer
