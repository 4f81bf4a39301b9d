"""A cluster of real nodes on loopback, and what is asked of them from outside."""

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self, TypeAlias

from benchmarks import deployed
from benchmarks.cluster.fleet import BenchError
from chaos.cluster.client import Answer, Client, Json, NoAnswerError
from node.cli.local_cluster import LocalCluster

from .applied import Span, ready_ns, spans_of

OPTIONS = ("--log-level", "debug", "--log-format", "json")
READY_S = 90.0
END_S = 5.0
POLL_S = 0.05

Counters: TypeAlias = dict[str, int]
Say: TypeAlias = Callable[[str], None]


class Town:
    """So many nodes with their defaults, but for the log; a context manager that ends them all."""

    def __init__(self, nodes: int) -> None:
        self._cluster = LocalCluster(nodes, http_port=0, command=deployed.NODE, options=OPTIONS)
        self.indices = range(nodes)

    def __enter__(self) -> Self:
        """Start them and wait until they know each other."""
        try:
            self._cluster.start()
            self._cluster.wait_ready(READY_S)
        except BaseException:
            self._cluster.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.stop()

    def send(self, index: int, number: signal.Signals) -> None:
        """Send one a signal; after SIGKILL wait for its end.

        Raises:
            BenchError: it did not end.
        """
        self._cluster.kill(index, number)
        if number is signal.SIGKILL and not self._cluster.wait_ended(index, END_S):
            raise BenchError(f"node {self.name(index)} did not end")

    def start(self, index: int) -> None:
        """Start one again, as it was."""
        self._cluster.start_node(index)

    def name(self, index: int) -> str:
        """What it is called."""
        return self._cluster.node_name(index)

    def client(self, index: int) -> Client:
        """A connection of its own to one node."""
        return Client(int(self._cluster.api_url(index).rsplit(":", 1)[1]))

    def ask(self, index: int, path: str) -> Answer:
        """Raises BenchError: it does not answer, or refuses."""
        try:
            with self.client(index) as client:
                answer = client.call("GET", path)
        except NoAnswerError as error:
            raise BenchError(f"node {self.name(index)}: {error}") from None
        if answer.status != 200:
            raise BenchError(f"node {self.name(index)}: {path}: {answer.value}")
        return answer

    def alike(self, indices: Iterable[int]) -> bool:
        """Whether all these answer and hold the same root."""
        try:
            return len({str(self.ask(i, "/v1/root").value["root"]) for i in indices}) == 1
        except BenchError:
            return False

    def delivered(self, indices: Iterable[int]) -> bool:
        """Whether all these answer and nothing waits with them for any peer."""
        try:
            return not any(self.ask(i, "/v1/queue").whole("total") for i in indices)
        except BenchError:
            return False

    def counters(self, indices: Iterable[int]) -> Counters:
        """What came of their deliveries, of all these together."""
        total: Counters = {}
        for index in indices:
            found = self.ask(index, "/v1/queue").value["counters"]
            assert isinstance(found, dict)
            for name, count in found.items():
                assert isinstance(count, int)
                total[name] = total.get(name, 0) + count
        return total

    def waiting(self, index: int) -> Sequence[dict[str, Json]]:
        """The rows of the peers that lack something."""
        return self.ask(index, "/v1/queue").rows("deliveries")

    def spans(self, index: int) -> list[Span]:
        """What it logged that it applied, in all its lives."""
        return spans_of(self._log(index))

    def ready_ns(self, index: int) -> int:
        """When it was last ready to take work, as it logged."""
        return ready_ns(self._log(index))

    def _log(self, index: int) -> Path:
        log = self._cluster.log_path(index)
        assert log is not None
        return log

    def wait(self, holds: Callable[[], bool], within_s: float, what: str) -> int:
        """Look until it holds; the time when it did, in ns.

        Raises:
            BenchError: it did not in time, or a node ended by itself.
        """
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                raise BenchError(f"not within {within_s:g} s: {what}")
            time.sleep(POLL_S)
        return time.monotonic_ns()
