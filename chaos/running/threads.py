"""Threads that act all through a run: begun together, and waited for together."""

import threading
from collections.abc import Callable, Mapping


class Threads:
    """One for each act, none of which keeps the program from ending.

    Args:
        acts: by the name of its thread, which is unique; each ends when it is told so elsewhere.
        join_s: how long the end of each is waited for.
    """

    def __init__(self, acts: Mapping[str, Callable[[], None]], *, join_s: float) -> None:
        self._join_s = join_s
        self._threads = [
            threading.Thread(target=act, name=f"kith-chaos-{name}", daemon=True)
            for name, act in acts.items()
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until they have ended; harmless when repeated, or before they began."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(self._join_s)
