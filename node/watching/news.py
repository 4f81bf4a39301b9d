"""From what the machine notes and tells to those who wait for it.

Rules this module keeps:

1. After every input of the machine all that was noted is taken out, so that no change waits longer.
2. Nothing here answers anybody: whoever changed something does not wait for those who watch it.
"""

import time

from protocol.events import Event, MemberChanged, Parted
from protocol.peer import Peer
from protocol.shared.journal import Journal

from .events import Record
from .hub import Hub
from .streams import Streams


class News:
    """Of one machine. Call `settled` after each input of it, and `heard` with each of its events.

    Args:
        peer: The machine; its registry gets a journal.
        hub: Long polls.
        life: Names this node and this life of it.
        events_max: How many events are kept.
    """

    def __init__(self, peer: Peer, hub: Hub, *, life: str, events_max: int) -> None:
        self._hub = hub
        self._journal = peer.registry.journal = Journal()
        self.record = Record(peer, self._journal, life=life, events_max=events_max)
        self._streams: Streams | None = None

    def tell(self, streams: Streams) -> None:
        """Wake these when there are events."""
        self._streams = streams

    def heard(self, event: Event) -> None:
        """A listener of the driver."""
        if isinstance(event, (MemberChanged, Parted)) and self.record.is_on:
            self.record.happened(event, at_us=time.time_ns() // 1_000)
            self._wake()

    def settled(self) -> None:
        """The machine dealt with an input."""
        if not self._journal:
            return
        services, steps = self._journal.take()
        self._hub.changed(services)
        if steps:
            self.record.noted(steps, at_us=time.time_ns() // 1_000)
            self._wake()

    def _wake(self) -> None:
        if self._streams is not None:
            self._streams.wake()
