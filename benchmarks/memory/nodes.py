"""Real nodes on loopback, empty or with what others own already on their disks.

They run as the container image and the systemd unit run them, without what Python keeps for people
who develop (`-OO`); one is run with it, for comparison.
"""

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError
from benchmarks.cluster.usage import Usage, usage_of
from benchmarks.repair.newcomer import fill, wait_to_show
from benchmarks.repair.pair import CLUSTER_NAME, METADATA, Owner
from node.cli.local_cluster import HOST, Child

READY_WITHIN_S = 60.0
HOLDS_WITHIN_S = 240.0
"""A hundred thousand instances, fetched on a busy machine."""
LOOK_S = 0.02
TIMEOUT_S = 30.0
CLIENTS = 8
SERVICES = 20
JSON = {"Content-Type": "application/json"}


class Node:
    """One process; `first` is the gossip port of the first node of its cluster."""

    def __init__(
        self, folder: Path, index: int, first: int, command: Sequence[str] = deployed.NODE
    ) -> None:
        self._gossip = first + index
        self._http = self._gossip + BLOCK_PORTS // 2
        self._data = folder / f"n{index}"
        self._data.mkdir(parents=True)
        seed = ("--seed", f"{HOST}:{first}") if index else ()
        words = (
            *command, "--name", f"n{index}", "--data-dir", str(self._data),
            "--cluster", CLUSTER_NAME, "--gossip", f"{HOST}:{self._gossip}",
            "--http", f"{HOST}:{self._http}", *seed,
        )  # fmt: skip
        self.child = Child(f"n{index}", words, folder / f"n{index}.log")

    def holding(self, owners: int, records: int) -> "Node":
        """The same, with what so many owners own on its disk; not started yet."""
        fill(self._data, [Owner(number, records) for number in range(1, owners + 1)])
        return self

    def usage(self) -> Usage:
        """What it uses now."""
        return usage_of(self.child.pid)

    def start(self, instances: int = 0) -> float:
        """Start it and wait until it is ready and shows so many; the processor time, in s.

        Raises:
            BenchError: it ended, or took too long.
        """
        self.child.start()
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.child.fallen is not None:
                raise BenchError(str(self.child.fallen))
            try:
                if self._ask("/readyz")[0] == http.HTTPStatus.OK:
                    used_s = self.usage().cpu_ms / 1_000
                    wait_to_show(self._gossip, instances, HOLDS_WITHIN_S)
                    return used_s
            except (OSError, http.client.HTTPException):
                pass  # it does not listen yet
            time.sleep(LOOK_S)
        raise BenchError(f"{self.child.name} is not ready after {READY_WITHIN_S:.0f} s")

    def register(self, count: int) -> None:
        """Have it own so many instances, registered one by one over HTTP.

        Raises:
            BenchError: it refused one.
        """
        with ThreadPoolExecutor(CLIENTS) as pool:
            shares = [range(client, count, CLIENTS) for client in range(CLIENTS)]
            list(pool.map(self._register, shares))

    def look_up(self) -> None:
        """Ask for each service once, so that each answer is kept.

        Raises:
            BenchError: one is not known.
        """
        for number in range(SERVICES):
            status, _ = self._ask(f"/v1/services/service-{number}")
            if status != http.HTTPStatus.OK:
                raise BenchError(f"{self.child.name} does not know service-{number}: {status}")

    def _register(self, numbers: Sequence[int]) -> None:
        connection = http.client.HTTPConnection(HOST, self._http, timeout=TIMEOUT_S)
        try:
            for number in numbers:
                body = json.dumps(registration(number))
                connection.request(
                    "POST", "/v1/services", body, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != http.HTTPStatus.CREATED:
                    raise BenchError(f"{self.child.name} refused a registration: {said!r}")
        finally:
            connection.close()

    def _ask(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self._http, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def registration(number: int) -> dict[str, object]:
    """One of some 300 bytes of JSON; each service has a twentieth of them."""
    return {
        "name": f"service-{number % SERVICES}", "id": f"i-{number}", "address": HOST,
        "port": 1_024 + number % 60_000, "tags": ["canary", "v1"], "version": "1.0", "zone": "z1",
        "metadata": dict(METADATA),
    }  # fmt: skip
