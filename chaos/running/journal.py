"""What faults do, written down at the moment that they do it, on the run's one clock.

Rules this module keeps:

1. One clock for everything in a run: seconds since its workload began, outside all nodes.
2. Any thread may write; nothing is read before all of them have ended, but under the lock.
"""

import threading
import time
from collections.abc import Callable, Iterable

from chaos.history import Life, Links, Lived

from .record import Said, Span

SAID_MAX = 10_000


class RunClock:
    """Seconds since the workload began; negative before `begin`, counted from when it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def begin(self) -> None:
        """It is second 0 now."""
        self._begun = time.perf_counter()

    def now_s(self) -> float:
        """The time of the run."""
        return time.perf_counter() - self._begun


class Journal:
    """Keeps what faults tell, as `chaos.faults.fault.Notes`.

    Args:
        clock: the run's.
        tell: told each line that is for people.
    """

    def __init__(self, clock: RunClock, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self.lives: list[Lived] = []
        self.link_states: list[Links] = []
        self.villains: list[str] = []
        self.said: list[Said] = []
        self.spans: list[Span] = []

    def life(self, node: str, life: Life) -> None:
        """See `Notes`."""
        with self._lock:
            self.lives.append(Lived(max(0.0, self._clock.now_s()), node, life))

    def links(
        self,
        blocked: frozenset[tuple[str, str]],
        *,
        loss: float = 0.0,
        hard: bool = False,
        late: bool = False,
    ) -> None:
        """See `Notes`."""
        with self._lock:
            at_s = max(0.0, self._clock.now_s())
            self.link_states.append(Links(at_s, blocked, loss, hard, late))

    def villain(self, node: str) -> None:
        """See `Notes`."""
        with self._lock:
            if node not in self.villains:
                self.villains.append(node)

    def say(self, text: str) -> None:
        """See `Notes`."""
        at_s = self._clock.now_s()
        with self._lock:
            if len(self.said) < SAID_MAX:
                self.said.append(Said(round(at_s, 3), text))
        self._tell(text)

    def span(self, kind: str, text: str, nodes: Iterable[str], begin_s: float) -> None:
        """Something lasted from then until now."""
        end_s = self._clock.now_s()
        with self._lock:
            self.spans.append(Span(kind, text, tuple(nodes), round(begin_s, 3), round(end_s, 3)))

    def is_down(self, node: str) -> bool:
        """Whether, by what was noted, it does not run or is frozen now."""
        with self._lock:
            for lived in reversed(self.lives):
                if lived.node == node:
                    return lived.life not in (Life.STARTED, Life.RESUMED)
        return False
