"""Faults that do one thing after another by themselves: links that flap, nodes that crash in turn.

    inject ──▶ thread: act, wait, act, wait … ──▶ heal: the thread ends, then what it did is undone

Rules this module keeps:

1. The thread ends within one act of being told to, and is awaited by `heal`.
2. What went wrong in it is raised by `heal`; it is not lost, and nothing goes on after it.
3. What it did is undone also where an act failed.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.cluster.cluster import ClusterError

from .fault import FaultError, Stage

END_S = 120.0
"""For the act under way: a restart that waits until a node is ready."""


class Recurring:
    """Acts in turn, on a thread of its own.

    Args:
        acts: yields how many seconds to wait before it is asked for the next; may raise FaultError
            and ClusterError. It ends by itself or is not asked any more.
    """

    def __init__(self, acts: Iterator[float]) -> None:
        self._acts = acts
        self._enough = threading.Event()
        self._failed: FaultError | ClusterError | None = None
        self._thread = threading.Thread(target=self._run, name="kith-chaos-fault", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether it was told to end: an act that waits for something looks at this."""
        return self._enough.is_set()

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
            for wait_s in self._acts:
                if self._enough.wait(wait_s):
                    return
        except (FaultError, ClusterError) as error:
            self._failed = error


@dataclass(slots=True, eq=False)
class RecurringFault(ABC):
    """A fault that goes on by itself; what it does and how that is undone is for the heirs to say.

    `inject` and `heal` are as `Fault` has them.
    """

    _going: Recurring | None = field(default=None, init=False)

    @property
    def is_over(self) -> bool:
        """As `Recurring` has it."""
        return self._going is None or self._going.is_over

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        self._going = Recurring(self.acts(stage))
        self._going.start()

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        try:
            if self._going is not None:
                self._going.end()
        finally:
            self._going = None
            self.undo(stage)

    @abstractmethod
    def acts(self, stage: Stage) -> Iterator[float]:
        """As `Recurring` takes them."""

    @abstractmethod
    def undo(self, stage: Stage) -> None:
        """Heal whatever the acts have left; also half an act, and twice."""
