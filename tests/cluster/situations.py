"""Real nodes to try things on: processes, sockets and files of their own, and what may be asked.

Rules this module keeps:

1. Nothing sleeps for a fixed time: what is to come is looked for until a deadline.
2. Only processes that were started here are signalled, and each is reaped.
3. `KITH_TEST_LOAD=large` runs the long version of a test, whose figures a report shows; default
   is `small`.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL, SIGTERM

import orjson

from chaos.cluster.client import Dial, Dialled, plain
from node.cli.local_cluster import (
    HOST,
    LOG_LINES_SHOWN,
    NODE_COMMAND,
    Child,
    LocalCluster,
    end_all,
    free_ports,
)
from node.client import Json

POLL_S = 0.02
PATIENCE_S = 20.0
"""For what takes a second or two on an idle machine."""
NODES = ("a", "b", "c")
LARGE = os.environ.get("KITH_TEST_LOAD", "small") == "large"

NO_HEADERS: Mapping[str, str] = {}

Shape = dict[str, Json]


class NoAnswer(Exception):  # noqa: N818 - reads as what happened
    """The node closed the connection, or nobody listens."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said over HTTP."""

    status: int
    value: Shape
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""

    @property
    def code(self) -> str:
        """Of an error document, or nothing."""
        error = self.value.get("error")
        return str(error.get("code")) if isinstance(error, dict) else ""

    @property
    def field(self) -> str:
        """The field that an error document names, or nothing."""
        error = self.value.get("error")
        return str(error.get("field") or "") if isinstance(error, dict) else ""


class Caller:
    """One kept HTTP connection to a node; opened anew after a break."""

    def __init__(
        self,
        port: int,
        *,
        host: str = HOST,
        token: str = "",
        timeout_s: float = 10.0,
        dial: Dial = plain,
    ) -> None:
        self._connection = Dialled(host, port, timeout_s=timeout_s, dial=dial)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request as it is.

        Raises:
            NoAnswer: no whole answer.
        """
        status, _, raw = self._ask(method, path, body, {})
        return status, raw

    def call(
        self,
        method: str,
        path: str,
        body: Shape | None = None,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Answer:
        """One request in JSON. Raises NoAnswer."""
        encoded = None if body is None else orjson.dumps(body)
        status, said, raw = self._ask(method, path, encoded, headers)
        value = orjson.loads(raw) if raw else {}
        assert isinstance(value, dict)
        return Answer(status, value, said)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {**self._headers, "Content-Type": "application/json", **headers}
        try:
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
            said = {name.lower(): value for name, value in response.getheaders()}
            return response.status, said, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(f"{method} {path}: {error!r}") from None


@dataclass(frozen=True, slots=True)
class Node:
    """How to reach one node over HTTP, and what it answers."""

    name: str
    port: int
    log: Path
    token: str = ""
    host: str = HOST
    dial: Dial = plain

    def caller(self) -> Caller:
        """A connection to keep."""
        return Caller(self.port, host=self.host, token=self.token, dial=self.dial)

    def call(
        self,
        method: str,
        path: str,
        body: Shape | None = None,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Answer:
        """One request on a connection of its own. Raises NoAnswer."""
        with self.caller() as caller:
            return caller.call(method, path, body, headers=headers)

    def get(self, path: str) -> Shape:
        """What is there; it has to be."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.value

    def with_token(self, token: str) -> "Node":
        """The same, for a caller who shows that token."""
        return replace(self, token=token)

    @property
    def is_ready(self) -> bool:
        """Whether it takes work."""
        try:
            return self.call("GET", "/readyz").status == 200
        except NoAnswer:
            return False

    def register(self, name: str, port: int, **more: Json) -> int:
        """Register an instance here; the version of the commit that holds it."""
        answer = self.call("POST", "/v1/services", {"name": name, "port": port, **more})
        assert answer.status in (200, 201), answer
        return whole(answer.value, "version")

    def deregister(self, name: str, instance: str) -> None:
        """Remove an instance of this node."""
        answer = self.call("DELETE", f"/v1/services/{name}/{instance}?owner=self")
        assert answer.status == 200, answer

    def statuses(self) -> dict[str, str]:
        """Member's name to its status; those who left are left out."""
        peers = rows(self.get("/v1/peers"), "peers")
        return {str(one["name"]): str(one["status"]) for one in peers if one["status"] != "left"}

    def healths(self, service: str) -> dict[str, str]:
        """Instance's id to its health."""
        found = rows(self.get(f"/v1/services/{service}"), "instances")
        return {str(one["id"]): str(one["health"]) for one in found}

    def head(self) -> int:
        """The version of this node's newest commit."""
        return whole(self.get("/v1/node"), "head")

    def incarnation(self) -> int:
        """How many lives this identity has begun."""
        return whole(self.get("/v1/node"), "incarnation")

    def id(self) -> str:
        """This node's whole id."""
        return str(self.get("/v1/node")["id"])

    def root(self) -> str:
        """The Merkle root over all that it holds."""
        return str(self.get("/v1/root")["root"])

    def clock(self) -> dict[str, int]:
        """Owner's id to the version of the newest commit held here."""
        clock = self.get("/v1/clock")["clock"]
        assert isinstance(clock, dict)
        return {owner: whole(dot, "version") for owner, dot in clock.items() if is_shape(dot)}

    def metrics(self) -> dict[str, float]:
        """All of /telemetry: name with labels to value."""
        with self.caller() as caller:
            _, raw = caller.send("GET", "/telemetry")
        lines = (line.rpartition(" ") for line in raw.decode().splitlines() if line[:1] != "#")
        return {name: float(value) for name, _, value in lines}

    def events(self, event: str, *, since: int = 0) -> list[Shape]:
        """The lines of its log of that event, from a byte of the file on."""
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().splitlines()
        marked = [line for line in lines if b'"' + event.encode() + b'"' in line]
        return [value for value in map(orjson.loads, marked) if value.get("event") == event]


def say(line: str) -> None:
    """Show a figure to whoever runs the test with `-s`."""
    sys.stdout.write(line + "\n")


def clean_environment() -> dict[str, str]:
    """Ours, without what would configure a node or a command."""
    return {key: value for key, value in os.environ.items() if not key.startswith("KITH_")}


def run_kith(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person types it, asking that node."""
    return subprocess.run(
        [sys.executable, "-m", "node.cli", "--api", f"http://{HOST}:{node.port}", *words],
        capture_output=True, text=True, timeout=30, check=False, env=clean_environment(),
    )  # fmt: skip


def is_shape(value: Json) -> bool:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def whole(shape: Json, name: str) -> int:
    """An integer member of a JSON object."""
    assert isinstance(shape, dict)
    value = shape[name]
    assert isinstance(value, int), (name, value)
    return value


def rows(shape: Shape, name: str) -> list[Shape]:
    """A member of a JSON object that is a list of objects."""
    value = shape[name]
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, dict)]


def expect_within(seconds: float, holds: Callable[[], object], what: str = "") -> float:
    """Look until it holds; how long that took.

    Raises:
        AssertionError: it did not hold within `seconds`.
    """
    start = time.perf_counter()
    while not holds():
        spent = time.perf_counter() - start
        assert spent < seconds, f"not within {seconds} s: {what or holds.__name__}"
        time.sleep(POLL_S)
    return time.perf_counter() - start


class Town:
    """Three nodes that know each other, and more for a while."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.nodes = [self._node(index) for index in range(len(cluster))]
        self._extras = 0

    def _node(self, index: int) -> Node:
        port = int(self.cluster.api_url(index).rpartition(":")[2])
        log = self.cluster.log_path(index)
        assert log is not None
        return Node(self.cluster.node_name(index), port, log)

    def data_dir(self, index: int) -> Path:
        """Where a node keeps its keys and its database."""
        return self.cluster.directory / self.cluster.node_name(index)

    def kill(self, index: int) -> None:
        """Kill -9, and wait for the end."""
        self.cluster.kill(index, SIGKILL)
        assert self.cluster.wait_ended(index, PATIENCE_S)
        self.cluster.newly_fallen()

    def end(self, index: int, *, within: float = 5.0) -> tuple[float, int]:
        """SIGTERM; the seconds that it took, and the exit code. A bad one shows the log's end."""
        start = time.perf_counter()
        self.cluster.kill(index, SIGTERM)
        assert self.cluster.wait_ended(index, within), f"still there after {within} s"
        took = time.perf_counter() - start
        name = self.cluster.node_name(index)
        codes = [one.exit_code for one in self.cluster.newly_fallen() if one.name == name]
        if codes[0]:
            say("\n".join(self.nodes[index].log.read_text().splitlines()[-LOG_LINES_SHOWN:]))
        return took, codes[0]

    def start(self, index: int) -> float:
        """Start a node again; the seconds until it is ready."""
        self.cluster.start_node(index)
        try:
            return expect_within(PATIENCE_S, lambda: self.nodes[index].is_ready, "ready")
        except AssertionError as error:
            fallen = self.cluster.newly_fallen()
            tail = self.nodes[index].log.read_text().splitlines()[-LOG_LINES_SHOWN:]
            raise AssertionError("\n".join([str(error), *map(str, fallen), *tail])) from None

    def all_see(self, name: str, status: str) -> bool:
        """Whether every running node of the three takes `name` for that."""
        return all(node.statuses().get(name) == status for node in self.running())

    def running(self) -> list[Node]:
        """The nodes of the three whose process runs."""
        return [node for index, node in enumerate(self.nodes) if self.cluster.pid(index)]

    def agrees(self) -> bool:
        """Whether all running nodes hold the same root and see each other alive."""
        nodes = self.running()
        return len({node.root() for node in nodes}) == 1 and all(
            node.statuses().get(other.name) == "alive" for node in nodes for other in nodes
        )

    def settle(self) -> float:
        """Wait until they agree."""
        return expect_within(PATIENCE_S, self.agrees, "all agree")

    def make_whole(self) -> None:
        """All three run, agree, and hold no service."""
        for index in range(len(self.nodes)):
            if not self.cluster.pid(index):
                self.cluster.start_node(index)
                self.cluster.newly_fallen()
        expect_within(PATIENCE_S, lambda: all(node.is_ready for node in self.nodes), "ready")
        self.settle()
        for node in self.nodes:
            own = node.get("/v1/services?node=self")["services"]
            assert isinstance(own, dict)
            for name in own:
                mine = [
                    str(one["id"])
                    for one in rows(node.get(f"/v1/services/{name}"), "instances")
                    if one["node"] == node.name
                ]
                for instance in mine:
                    node.deregister(name, instance)
        self.settle()

    def log_sizes(self) -> list[int]:
        """Where the logs end now; give it to `forks`."""
        return [node.log.stat().st_size for node in self.nodes]

    def forks(self, since: Sequence[int]) -> list[str]:
        """Every sign of a fork: lines in logs, and metrics."""
        found = [
            f"{node.name}: {line}"
            for node, offset in zip(self.nodes, since, strict=True)
            for line in node.events("fork_found", since=offset)
        ]
        disputed = {node.name: node.metrics()["kith_disputed_owners"] for node in self.running()}
        return found + [f"{name}: disputes" for name, count in disputed.items() if count]

    @contextmanager
    def one_more(self, *options: str, name: str = "", seed: str | None = None) -> Iterator["Extra"]:
        """One more node, that leaves for good at the end."""
        self._extras += 1
        name = name or f"extra{self._extras}"
        more = ("--seed", seed) if seed is not None else ()
        one = Extra(name, self.cluster.directory / name, (*more, *options))
        one.child.start()
        try:
            yield one
        finally:
            is_up = one.child.pid and one.node.is_ready
            if is_up and one.node.call("POST", "/v1/leave").status == 202:
                one.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251
            end_all([one.child])


class Extra:
    """A node beside the three, with a data directory and free ports of its own."""

    def __init__(self, name: str, data_dir: Path, options: Sequence[str]) -> None:
        http_port, gossip_port = free_ports(2)
        log = data_dir.with_suffix(".log")
        self.data_dir = data_dir
        self.gossip = f"{HOST}:{gossip_port}"
        words = {
            "--name": name,
            "--data-dir": str(data_dir),
            "--http": f"{HOST}:{http_port}",
            "--gossip": self.gossip,
        }
        given = [w for pair in words.items() if pair[0] not in options for w in pair]
        self.child = Child(name, [*NODE_COMMAND, *given, *options], log)
        self.node = Node(name, http_port, log)

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self.child.send(SIGKILL)
        assert self.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251

    def wait_ready(self) -> None:
        """Until it takes work."""
        expect_within(PATIENCE_S, lambda: self.node.is_ready, f"{self.node.name} is ready")
