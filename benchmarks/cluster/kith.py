"""Our side: `kith node` processes with their defaults, logging at level debug."""

import http.client
import json
import subprocess
import time
from pathlib import Path

from benchmarks import deployed
from node.cli.local_cluster import HOST

from .facts import parse_kith
from .fleet import BLOCK_PORTS, BenchError, Fleet, free_block
from .sides import SEEDS, Update

TIMEOUT_S = 10.0
METADATA = {"build": "2026-02-11T08:30:00Z", "commit": "9f2c41d7e0b85a63", "team": "checkout"}
"""So that the record is some 300 bytes, as a real one."""


class KithSide:
    """Nodes on loopback, without a secret. An update is a registration over HTTP."""

    name = "kith"

    def __init__(self, nodes: int, directory: Path) -> None:
        first = free_block(nodes)
        self.ports = range(first, first + nodes)
        """Gossip, UDP and TCP."""
        self.http_ports = [first + BLOCK_PORTS // 2 + i for i in range(nodes)]
        names = [f"n{i}" for i in range(nodes)]
        commands = [self._command(i, directory / names[i]) for i in range(nodes)]
        self.fleet = Fleet(names, commands, directory, parse_kith)

    @staticmethod
    def version() -> str:
        """Of the program."""
        done = subprocess.run(deployed.VERSION, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def connect(self) -> None:
        """Nothing is kept open between updates."""

    def reconnect(self, index: int) -> None:
        """Nothing is kept open between updates."""

    def update(self, index: int, number: int, within_s: float) -> Update:
        """Register a service with one node, and wait until all others have applied it.

        Raises:
            BenchError: the node refused it.
        """
        self.fleet.forget_applied()
        body = json.dumps(
            {
                "name": f"bench-{number}",
                "address": HOST,
                "port": 20_000 + number,
                "tags": ["bench", "v2"],
                "metadata": METADATA,
            }
        ).encode()
        connection = http.client.HTTPConnection(HOST, self.http_ports[index], timeout=TIMEOUT_S)
        try:
            connection.connect()
            sent_ns = time.monotonic_ns()
            connection.request("POST", "/v1/services", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            acknowledged_ns = time.monotonic_ns()
        except OSError as error:
            raise BenchError(f"node {index} does not answer: {error}") from None
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.CREATED:
            raise BenchError(f"node {index} refused the registration: {content!r}")
        version = int(json.loads(content)["version"])
        awaited = len(self.fleet.others(index))
        self.fleet.wait(lambda: len(self.fleet.applied_ns(index, version)) == awaited, within_s)
        arrivals = self.fleet.applied_ns(index, version)
        return Update.of(sent_ns, acknowledged_ns, arrivals, awaited)

    def _command(self, index: int, data: Path) -> list[str]:
        others = [i for i in range(len(self.ports)) if i != index][:SEEDS]
        seeds = [word for i in others for word in ("--seed", f"{HOST}:{self.ports[i]}")]
        return [
            *deployed.NODE,
            *("--name", f"n{index}"),
            *("--data-dir", str(data)),
            *("--http", f"{HOST}:{self.http_ports[index]}"),
            *("--gossip", f"{HOST}:{self.ports[index]}"),
            *("--log-level", "debug"),
            *("--log-format", "json"),
            *seeds,
        ]
