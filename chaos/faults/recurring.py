"""Faults that do one thing after another by themselves: links that flap, nodes that crash in turn.

    inject ──▶ thread: act, wait, act, wait … ──▶ heal: the thread ends, then what it did is undone

Rules this module keeps:

1. The thread ends within one act of being told to, and is awaited by `heal`.
2. What went wrong in it is raised by `heal`; it is not lost, and nothing goes on after it.
"""

import threading
from collections.abc import Callable, Iterator

from chaos.cluster.cluster import ClusterError

from .fault import FaultError

END_S = 120.0
"""For the act under way: a restart that waits until a node is ready."""


class Recurring:
    """Acts in turn, on a thread of its own.

    Args:
        acts: yields how many seconds to wait before it is asked for the next; may raise FaultError
            and ClusterError. It ends by itself or is not asked any more.
    """

    def __init__(self, acts: Callable[["Recurring"], Iterator[float]]) -> None:
        self._acts = acts
        self._enough = threading.Event()
        self._failed: FaultError | ClusterError | None = None
        self._thread = threading.Thread(target=self._run, name="kith-chaos-fault", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether it was told to end: an act that waits for something looks at this."""
        return self._enough.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait within an act; whether it was told to end meanwhile."""
        return self._enough.wait(seconds)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop after the act under way; harmless when repeated.

        Raises:
            FaultError: it does not stop, or an act failed.
            ClusterError: an act failed.
        """
        self._enough.set()
        if self._thread.ident is not None:
            self._thread.join(END_S)
        if self._thread.is_alive():
            raise FaultError(f"a fault that recurs did not end within {END_S:g} s")
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _run(self) -> None:
        try:
            for wait_s in self._acts(self):
                if self._enough.wait(wait_s):
                    return
        except (FaultError, ClusterError) as error:
            self._failed = error
