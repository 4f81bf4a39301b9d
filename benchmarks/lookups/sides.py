"""The programs: how each is started and filled, and what a lookup is to it.

There are `SERVICES` services of one instance each, some 300 bytes of JSON to register and 560 to
read; half of them are registered with another node, since one owner may have 10,000 records, its
own included. etcd has as many keys, with a value of the length of a lookup's answer.

What differs, and whom it favours:

1. etcd is asked over its JSON gateway (`POST /v3/kv/range`), which costs it a translation to gRPC
   in its own process: this favours us. The figure over gRPC stands beside; its client asks for one
   key only, which favours etcd.
2. The node answers from memory, bytes that it encoded once, and keeps watching its peers. A range
   of etcd is linearizable by default, though with one member that asks nobody: this favours us.
3. One Python thread serves HTTP; etcd uses all processors, of which the load takes a part: this
   favours etcd.
4. hypercorn answers a few constant bytes, and looks nothing up: the floor of a full ASGI stack.
"""

import http.client
import importlib.metadata
import importlib.util
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError, free_block
from benchmarks.registrations.sides import POLL_S, READY_WITHIN_S, ask, encoded, etcd_member
from node.cli.local_cluster import HOST, Child

SERVICES = 10_000
FILLERS = 16
NAME = "svc-%05d"
KEY = "services/" + NAME
HYPERCORN = "hypercorn"
INSTALL_HYPERCORN = "make setup installs it: .venv/bin/pip install hypercorn"
TIMEOUT_S = 30.0
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Side:
    """One program that runs, and what its clients ask."""

    name: str
    children: Sequence[Child]
    """The first is measured."""
    address: str
    """`host:port` of its HTTP."""
    ready: str
    """The path that answers with 200 once it takes requests."""
    method: str
    path: str
    """As `ask.lua` takes it, like the next."""
    body: str
    coding: str
    asked: str
    fill: Callable[[], None]

    def start(self) -> None:
        """Start and fill it.

        Raises:
            BenchError: it ended, or took too long.
        """
        for child in self.children:
            child.start()
        within(lambda: _is_up(self), f"{self.name} is not ready")
        self.fill()


def kith(directory: Path, options: Sequence[str] = ()) -> Side:
    """One node with its defaults but for these, and another that shares the services with it."""
    port = free_block(2)
    addresses = [f"{HOST}:{port + BLOCK_PORTS // 2 + number}" for number in (0, 1)]
    children = []
    for number, name in enumerate(("kith", "neighbour")):
        command = [
            *deployed.NODE,
            *("--name", name),
            *("--data-dir", str(directory / name)),
            *("--http", addresses[number]),
            *("--gossip", f"{HOST}:{port + number}"),
            *(("--seed", f"{HOST}:{port}") if number else ()),
            *options,
        ]
        children.append(Child(name, command, directory / f"{name}.log"))

    def fill() -> None:
        within(lambda: _answers(addresses[1], "/readyz"), "the neighbour is not ready")
        for number, address in enumerate(addresses):
            numbers = range(number, SERVICES, 2)
            in_parallel(address, "/v1/services", [json.dumps(registration(n)) for n in numbers])
        within(
            lambda: all(_count(address) == SERVICES for address in addresses),
            f"not all of {SERVICES:,} services are in the lookups of both nodes",
        )

    path = "/v1/services/%s"
    return Side(
        "kith", children, addresses[0], "/readyz", "GET", path, "", "plain", NAME, fill
    )  # fmt: skip


def etcd(directory: Path) -> Side:
    """One member with its defaults."""
    child, address = etcd_member(directory)

    def fill() -> None:
        puts = [
            json.dumps({"key": encoded(KEY % number), "value": encoded(answer(number))})
            for number in range(SERVICES)
        ]
        in_parallel(address, "/v3/kv/put", puts)
        found = ask(address, "POST", "/v3/kv/range", {"key": encoded(KEY % (SERVICES - 1))})
        if found.get("count") != "1":
            raise BenchError(f"etcd does not find what was put: {found!r}")

    path, body = "/v3/kv/range", '{"key":"%s"}'
    return Side("etcd", [child], address, "/health", "POST", path, body, "base64", KEY, fill)


def hypercorn(directory: Path) -> Side:
    """An ASGI application that says hello."""
    address = f"{HOST}:{free_block(1)}"
    command = [
        *(*deployed.PYTHON, "-m", "hypercorn", "--worker-class", "trio", "--workers", "0"),
        *("--bind", address, "--log-level", "error", "benchmarks.lookups.hello:app"),
    ]
    child = Child("hypercorn", command, directory / "hypercorn.log")
    return Side(
        "hypercorn", [child], address, "/", "GET", "/", "", "plain", NAME, lambda: None
    )  # fmt: skip


def has_hypercorn() -> bool:
    """Whether there is a hypercorn to compare with."""
    return importlib.util.find_spec(HYPERCORN) is not None


def hypercorn_version() -> str:
    """Of the one that is installed."""
    return importlib.metadata.version(HYPERCORN)


def registration(number: int) -> dict[str, object]:
    """What is registered: some 300 bytes as JSON."""
    return {
        "name": NAME % number, "id": f"i{number:05d}", "address": HOST, "port": 8080,
        "tags": ["bench", "eu-west", "v2"], "zone": "z1", "weight": 100,
        "metadata": {
            "build": "2026-02-11T08:30:00Z", "commit": "9f2c41d7e0b85a63",
            "number": f"{number:012d}", "team": "checkout",
        },
    }  # fmt: skip


def answer(number: int) -> str:
    """What etcd has in the place of it: as long as what a lookup of ours answers."""
    owner = "a" * 52
    shown = {
        **registration(number), "version": "", "health": "passing", "checks": [], "owner": owner,
        "node": "kith", "node_status": "alive", "signed_by": owner, "disputed": False,
        "last_updated": "2026-02-11T08:30:00.000Z",
    }  # fmt: skip
    whole = {"service": NAME % number, "index": "aaaaaaaa-1700000000-10000", "instances": [shown]}
    return json.dumps(whole, separators=(",", ":"))


def in_parallel(address: str, path: str, bodies: Sequence[str]) -> None:
    """Post all of them.

    Raises:
        BenchError: one was refused.
    """
    failures: list[str] = []

    def post(mine: Sequence[str]) -> None:
        host, _, port = address.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
        try:
            for body in mine:
                connection.request("POST", path, body, JSON)
                answered = connection.getresponse()
                content = answered.read()
                if answered.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
                    failures.append(f"{path} answers {answered.status}: {content[:200]!r}")
                    return
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{path}: {error!r}")
        finally:
            connection.close()

    threads = [threading.Thread(target=post, args=(bodies[n::FILLERS],)) for n in range(FILLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchError(failures[0])


def within(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait until it holds.

    Raises:
        BenchError: it does not, in a minute.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{otherwise} after {READY_WITHIN_S:.0f} s")
        time.sleep(POLL_S)


def _is_up(side: Side) -> bool:
    fallen = next((child.fallen for child in side.children if child.fallen is not None), None)
    if fallen is not None:
        raise BenchError(str(fallen))
    return _answers(side.address, side.ready)


def _answers(address: str, path: str) -> bool:
    try:
        ask(address, "GET", path)
    except (OSError, BenchError, http.client.HTTPException, json.JSONDecodeError):
        return False
    return True


def _count(address: str) -> int:
    services = ask(address, "GET", "/v1/services")["services"]
    assert isinstance(services, dict)
    return len(services)
