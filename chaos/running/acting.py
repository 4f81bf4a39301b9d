"""Faults on a time line: what is due is done, and what was begun is healed, whatever happens.

Rules this module keeps:

1. One thread injects, heals and looks; nothing of this overlaps.
2. Every fault that was begun is healed: after an error, and after Ctrl-C, also a second one.
3. A fault that could not be done or healed is remembered in a sentence; the rest goes on.
"""

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from chaos.cluster.cluster import ClusterError
from chaos.faults.fault import FaultError, Stage
from chaos.scenarios.scenario import Step

from .journal import Journal, RunClock

POLL_S = 0.05
_FIRST, _THEN, _LAST = 0, 1, 2
"""Of what is due at one moment: who looks sees what was before, and heals make room for faults."""


@dataclass(slots=True)
class Acts:
    """The faults of a run.

    Args:
        stage: what they act on.
        clock: the run's.
        journal: where each is noted when it is over.
    """

    stage: Stage
    clock: RunClock
    journal: Journal
    failed: str = ""
    """The first thing that could not be done."""
    healed_at_s: float | None = None
    """When the last that was healed was healed."""
    _begun: dict[int, tuple[Step, float]] = field(default_factory=dict)

    def play(
        self,
        steps: Sequence[Step],
        looks: Sequence[tuple[float, Callable[[], None]]],
        until_s: float,
        progress: Callable[[float], None],
    ) -> None:
        """Do all of it until that second of the run; afterwards nothing is left injected.

        Args:
            steps: the faults.
            looks: what else is to be done when.
            until_s: when all faults are over.
            progress: told the second of the run, again and again.
        """
        due: list[tuple[float, int, int, Callable[[], None]]] = []
        for place, step in enumerate(steps):
            ends_s = until_s if step.for_s is None else step.at_s + step.for_s
            due.append((step.at_s, _LAST, place, partial(self._inject, place, step)))
            due.append((ends_s, _THEN, place, partial(self._heal, place)))
        due += [(at_s, _FIRST, place, look) for place, (at_s, look) in enumerate(looks)]
        due.append((until_s, _LAST, len(steps), lambda: None))
        # 0.05 + 0.1 is a moment later than 0.15.
        due = [(round(at_s, 3), order, place, act) for at_s, order, place, act in due]
        heapq.heapify(due)
        try:
            while due:
                now_s = self.clock.now_s()
                progress(now_s)
                if due[0][0] <= now_s:
                    heapq.heappop(due)[3]()
                else:
                    time.sleep(min(POLL_S, due[0][0] - now_s))
        finally:
            self._heal_all()

    def _inject(self, place: int, step: Step) -> None:
        self._begun[place] = step, self.clock.now_s()
        try:
            step.fault.inject(self.stage)
        except (FaultError, ClusterError) as error:
            self._fail(f"{step.kind.name} could not be done: {error}")

    def _heal(self, place: int) -> None:
        if place not in self._begun:
            return
        step, begun_s = self._begun[place]
        try:
            step.fault.heal(self.stage)
        except (FaultError, ClusterError) as error:
            self._fail(f"{step.kind.name} could not be healed: {error}")
        del self._begun[place]
        self.healed_at_s = self.clock.now_s()
        self.journal.span(step.kind.name, said_of(step), step.victims, begun_s)

    def _heal_all(self) -> None:
        """What is left, the newest first. Ctrl-C meanwhile waits until it is done."""
        came: BaseException | None = None
        for place in sorted(self._begun, reverse=True):
            for _ in range(3):
                try:
                    self._heal(place)
                    break
                except (KeyboardInterrupt, SystemExit) as error:
                    came = error
                    self.journal.say("first what was injected is healed")
        if came is not None:
            raise came

    def _fail(self, text: str) -> None:
        self.failed = self.failed or text
        self.journal.say(text)


def said_of(step: Step) -> str:
    """A fault in one line: its kind and its table."""
    fields = " ".join(f"{name}={value}" for name, value in step.table.items())
    return f"{step.kind.name} {fields}".strip()
