"""The two programs: how each is started, what a request to it is, and how it is read back.

A request says something new under one of `KEYS` keys in turn; what it says is one registration as
JSON, some 300 bytes, with the request's number in it. Both programs answer when it is on disk: the
node with its defaults (`synchronous=FULL`, group commit), etcd with its defaults, one member.

What differs, and whom it favours:

1. etcd is asked over its JSON gateway (`POST /v3/kv/put`, key and value in base64), which costs it
   a translation to gRPC in its own process. gRPC itself is faster. This favours us.
2. The node reads the registration, judges each field, signs it, hashes it into its state, indexes
   it for lookups, and remembers the update id. etcd stores bytes. This favours etcd.
3. One Python thread serves HTTP; etcd uses all processors, of which the load takes a part. This
   favours etcd.
"""

import base64
import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError, free_block
from node.cli.local_cluster import HOST, Child

KEYS = 5_000
"""Half of what one owner may have; read back at the end."""
READY_WITHIN_S = 60.0
POLL_S = 0.1
TIMEOUT_S = 30.0
PLACE = "%s%s"
NUMBER = "%s%s%s%s"
METADATA = (
    '"metadata":{"build":"2026-02-11T08:30:00Z","commit":"9f2c41d7e0b85a63","team":"checkout"'
)
REST = f'"address":"{HOST}","port":8080,"tags":["bench","v2","eu-west"],"zone":"z1","weight":100'
SERVICE = "bench"
_BEFORE = f'{{"name":"{SERVICE}","id":"i000000",{REST},{METADATA},"number":"'
"""What etcd stores, up to the request's number."""
PROGRAM = "etcd"
INSTALL = "on Debian: apt-get install etcd-server"


@dataclass(frozen=True, slots=True)
class Side:
    """One program that runs."""

    name: str
    child: Child
    address: str
    """`host:port` of its HTTP."""
    ready: str
    """The path that answers with 200 once it takes requests."""
    path: str
    body: str
    """Of a request, as `put.lua` takes it."""
    coding: str
    numbers: Callable[[str], Iterator[int]]
    """Reads back, by address: the number under each key."""

    def wait_ready(self) -> None:
        """Wait until it answers with 200.

        Raises:
            BenchError: it ended, or took too long.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.child.fallen is not None:
                raise BenchError(str(self.child.fallen))
            try:
                ask(self.address, "GET", self.ready)
            except (OSError, BenchError, http.client.HTTPException):
                time.sleep(POLL_S)
            else:
                return
        raise BenchError(f"{self.name} is not ready after {READY_WITHIN_S:.0f} s")


def kith(directory: Path, options: Sequence[str] = ()) -> Side:
    """One node with its defaults but for these, its API open on loopback."""
    port = free_block(1)
    address = f"{HOST}:{port + BLOCK_PORTS // 2}"
    command = [
        *deployed.NODE,
        *("--name", "bench"),
        *("--data-dir", str(directory / "kith")),
        *("--http", address),
        *("--gossip", f"{HOST}:{port}"),
        *options,
    ]
    body = f'{{"name":"{SERVICE}","id":"i{PLACE}",{REST},{METADATA},"number":"{NUMBER}"}}}}'
    child = Child("kith", command, directory / "kith.log")
    return Side("kith", child, address, "/readyz", "/v1/services", body, "plain", _numbers_of_kith)


def etcd_member(directory: Path) -> tuple[Child, str]:
    """One member of etcd with its defaults, and the `host:port` of its HTTP."""
    port = free_block(1)
    address = f"{HOST}:{port + BLOCK_PORTS // 2}"
    command = [
        PROGRAM,
        *("--data-dir", str(directory / "etcd")),
        *("--listen-client-urls", f"http://{address}"),
        *("--advertise-client-urls", f"http://{address}"),
        *("--listen-peer-urls", f"http://{HOST}:{port}"),
    ]
    return Child("etcd", command, directory / "etcd.log"), address


def etcd(directory: Path) -> Side:
    """One member with its defaults."""
    child, address = etcd_member(directory)
    value = encoded(_BEFORE + " " * (-len(_BEFORE) % 3)) + NUMBER + encoded('"}}')
    body = f'{{"key":"{encoded(SERVICE + "/")}{PLACE}","value":"{value}"}}'
    return Side("etcd", child, address, "/health", "/v3/kv/put", body, "base64", _numbers_of_etcd)


def grpc_put() -> tuple[bytes, bytes]:
    """Key and value of a put over gRPC: as long as those that come over JSON."""
    return f"{SERVICE}/000000".encode(), f'{_BEFORE}{0:012d}"}}}}'.encode()


def installed() -> bool:
    """Whether there is an etcd to compare with."""
    return shutil.which(PROGRAM) is not None


def versions(*, with_etcd: bool) -> list[str]:
    """Of the programs."""
    commands: list[Sequence[str]] = [deployed.VERSION]
    commands += [(PROGRAM, "--version")] if with_etcd else []
    done = [subprocess.run(one, capture_output=True, text=True, check=True) for one in commands]
    return [one.stdout.splitlines()[0].strip() for one in done]


def ask(address: str, method: str, path: str, body: object = None) -> dict[str, object]:
    """Ask for JSON.

    Raises:
        BenchError: another status than 200, or no JSON object.
    """
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise BenchError(f"{path} answers {answer.status}: {content[:200]!r}")
    document = json.loads(content)
    if not isinstance(document, dict):
        raise BenchError(f"{path} answers {content[:200]!r}")
    return document


def _numbers_of_kith(address: str) -> Iterator[int]:
    found = ask(address, "GET", f"/v1/services/{SERVICE}?limit=10000")["instances"]
    assert isinstance(found, list)
    for instance in found:
        yield int(instance["metadata"]["number"])


def _numbers_of_etcd(address: str) -> Iterator[int]:
    keys = {"key": encoded(SERVICE + "/"), "range_end": encoded(SERVICE + "0")}
    found = ask(address, "POST", "/v3/kv/range", keys)["kvs"]
    assert isinstance(found, list)
    for pair in found:
        yield int(json.loads(base64.b64decode(pair["value"]))["metadata"]["number"])


def encoded(text: str) -> str:
    """As etcd's JSON wants keys and values."""
    return base64.b64encode(text.encode()).decode()
