"""Where a node is in its life, and who asked it to end.

starting ──▶ running ──▶ stopping      (SIGTERM, Ctrl-C: back when it returns)
└──────▶ leaving       (`kith leave`: for good)
"""

import enum

import trio

UNHEARD_REMEDY = (
    "start one of its peers, or name one by --seed; if none is left: kith restore --alone"
)
"""What to do about a node that waits to hear of itself."""


class Stage(enum.Enum):
    """Where the node is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    LEAVING = "leaving"


class Lifecycle:
    """One node's life. `server` moves it on; others read it and may ask for its end."""

    def __init__(self, must_hear: str = "") -> None:
        self.stage = Stage.STARTING
        self.must_hear = must_hear
        """Why it has to hear of itself from a peer before it signs anything; mostly empty."""
        self.failed = False
        """Whether it ends because it must, not because somebody asked."""
        self._end = trio.Event()
        self._forced = trio.Event()

    @property
    def ending(self) -> bool:
        """Whether no new work is to be taken."""
        return self.stage in (Stage.STOPPING, Stage.LEAVING)

    def running(self) -> None:
        """The node serves."""
        if self.stage is Stage.STARTING:
            self.stage = Stage.RUNNING

    def stop(self, *, leaving: bool = False) -> None:
        """Ask for the end. A second time: at once, without draining."""
        if self._end.is_set():
            self._forced.set()
            return
        self.stage = Stage.LEAVING if leaving else Stage.STOPPING
        self._end.set()

    def fail(self) -> None:
        """End: this node cannot go on."""
        self.failed = True
        if not self._end.is_set():
            self.stop()

    def abort(self) -> None:
        """End at once: nothing can be written any more, so whoever waits is told nothing."""
        self.stop()
        self._forced.set()

    async def end(self) -> None:
        """Wait until the end was asked for."""
        await self._end.wait()

    async def forced(self) -> None:
        """Wait until it was asked for twice."""
        await self._forced.wait()
