"""Clients that register, update and deregister, one after the other, until told to stop.

Rules this module keeps:

1. One thread, one connection and one ledger a client; its choices follow from its own seed.
2. Every operation has an update id of its own (a deregistration only a request id: the API takes
   none there).
3. A client whose node is gone stops, and leaves its last operation open.
"""

import threading
from collections.abc import Callable, Sequence
from random import Random

from chaos.cluster.client import Client, NoAnswerError

from .ledger import Ledger, Operation

HELD_MAX = 12
"""Instances that a client keeps at a time: few enough to be read whole after every round."""
_PORTS = range(1_024, 60_000)


class Worker:
    """One client of one node, over as many rounds as one likes."""

    def __init__(self, name: str, seed: str) -> None:
        self.name = name
        self.ledger = Ledger()
        self.strange: list[str] = []
        """What no client should have met."""
        self._rng = Random(seed)
        self._count = 0
        self._held: list[str] = []
        self._gone: list[str] = []

    def work(self, port: int, enough: threading.Event, told: Callable[[], None]) -> None:
        """Ask until it is enough or the node is gone; calls `told` at each acknowledgement."""
        with Client(port) as client:
            while not enough.is_set():
                operation = self._next()
                self.ledger.add(operation)
                try:
                    if not self.ask(client, operation):
                        return
                except NoAnswerError:
                    return
                told()

    def ask(self, client: Client, operation: Operation) -> bool:
        """Send it and note the answer; False if that was strange. Raises NoAnswerError."""
        method, path, body = operation.request
        answer = client.call(method, path, body, request_id=operation.update_id)
        if answer.status not in (200, 201):
            self.strange.append(f"{method} {operation.instance}: {answer.status} {answer.value}")
            return False
        operation.acknowledged, operation.version = True, answer.whole("version")
        return True

    def open(self) -> list[Operation]:
        """What was asked for last and never answered."""
        last = [operations[-1] for operations in self.ledger.operations.values()]
        return [operation for operation in last if not operation.acknowledged]

    def _next(self) -> Operation:
        self._count += 1
        port = _PORTS[self._count % len(_PORTS)]
        update_id = f"{self.name}-{self._count}"
        draw = self._rng.random()
        if not self._held or (draw < 0.45 and len(self._held) < HELD_MAX):
            return Operation(self._enter(), port, update_id)
        instance = self._rng.choice(self._held)
        if draw < 0.75:
            return Operation(instance, port, update_id)
        self._held.remove(instance)
        self._gone.append(instance)
        return Operation(instance, None, update_id)

    def _enter(self) -> str:
        """A new instance, or one that was deregistered and returns."""
        again = self._gone and self._rng.random() < 0.3
        instance = self._gone.pop() if again else f"{self.name}-{self._count}"
        self._held.append(instance)
        return instance


class Load:
    """Workers at work in threads of their own, each with a port; `stop` joins them."""

    def __init__(self, workers: Sequence[tuple[Worker, int]]) -> None:
        self._enough = threading.Event()
        self._changed = threading.Condition()
        self._told = 0
        self._threads = [
            threading.Thread(target=worker.work, args=(port, self._enough, self._count))
            for worker, port in workers
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait(self, acknowledgements: int, timeout_s: float) -> bool:
        """Wait for so many acknowledgements; whether they came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._told >= acknowledgements, timeout_s)

    def stop(self) -> int:
        """End; how many acknowledgements there were."""
        self._enough.set()
        for thread in self._threads:
            thread.join()
        return self._told

    def _count(self) -> None:
        with self._changed:
            self._told += 1
            self._changed.notify_all()
