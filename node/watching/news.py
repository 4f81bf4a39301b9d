"""From what the registry notes to those who wait for it.

Rules this module keeps:

1. After every input of the machine all that was noted is taken out, so that no change waits longer.
2. Nothing here answers anybody: whoever changed something does not wait for those who watch it.
"""

from protocol.registry import Registry
from protocol.shared.journal import Journal

from .hub import Hub


class News:
    """Attach it to one registry; call `settled` after each input of its machine."""

    def __init__(self, registry: Registry, hub: Hub) -> None:
        self._journal = registry.journal = Journal()
        self._hub = hub

    def settled(self) -> None:
        """The machine dealt with an input."""
        if self._journal:
            services, _ = self._journal.take()
            self._hub.changed(services)
