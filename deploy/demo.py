"""The README's session, scripted: `make demo`, under three minutes, exit code 0 if all went well.

Three nodes start on this machine; a real HTTP server is registered through node a with a health
check and found through node c; it is killed (critical on all nodes) and started again (passing);
node b is killed with -9 (unreachable on the others, its service not passing). Each step prints how
long it took, and each has a bound: what does not happen in time ends the demo with 1 and a
sentence.

Everything is ended and removed afterwards, also on Ctrl-C.
"""

import signal
import sys
import time
from collections.abc import Callable, Sequence

from node.cli.errors import GOOD, INTERRUPTED
from node.cli.local_cluster import HOST, ClusterError, LocalCluster
from node.client import ApiClient, ApiError, Json

A, B, C = range(3)
ALL = (A, B, C)
OTHERS = (A, C)
POLL_S = 0.02
ASK_TIMEOUT_S = 2.0
START_WITHIN_S = 45.0
SEEN_WITHIN_S = 5.0
INTERVAL_S = 1.0
FAILURES = 2
CHECKED_WITHIN_S = INTERVAL_S * FAILURES + 1.0
"""The promise: interval × failures + 1 s."""
PASSING_WITHIN_S = INTERVAL_S + 2.0
UNREACHABLE_WITHIN_S = 10.0
FAILED = 1


class DemoError(Exception):
    """A step did not happen within its bound."""


def main() -> int:
    """Run all the steps; 0 if each happened in time."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        with LocalCluster(3) as cluster:
            _session(cluster)
    except (DemoError, ClusterError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("demo: interrupted; all ended, data removed", file=sys.stderr)
        return INTERRUPTED
    print(f"\nall as promised, in {time.monotonic() - started:.1f} s; nodes ended, data removed")
    return GOOD


def _session(cluster: LocalCluster) -> None:
    _tell("start three nodes, a, b and c, on this machine")
    began = time.monotonic()
    cluster.start()
    cluster.wait_ready(START_WITHIN_S)
    _done("each sees the two others alive", time.monotonic() - began)

    _tell("start a real HTTP server, and register it as `web` with node a, with a health check")
    port = cluster.start_service("web")
    _await("it answers", START_WITHIN_S, lambda: _serves(port))
    _register(cluster, A, "web", port)
    _await_health(cluster, (C,), "web", "passing", SEEN_WITHIN_S, "node c finds it, passing")
    _show(cluster, C, "web")

    _tell("kill the server")
    cluster.stop_service("web")
    _await_health(cluster, ALL, "web", "critical", CHECKED_WITHIN_S, "critical on all nodes")

    _tell("start it again")
    cluster.start_service("web", port)
    _await("it answers", START_WITHIN_S, lambda: _serves(port))
    _await_health(cluster, ALL, "web", "passing", PASSING_WITHIN_S, "passing on all nodes")

    _tell("register `payments`, which is the same server, with node b")
    _register(cluster, B, "payments", port)
    _await_health(
        cluster, OTHERS, "payments", "passing", SEEN_WITHIN_S, "nodes a and c find it, passing"
    )

    _tell("kill -9 node b")
    cluster.kill(B, signal.SIGKILL)
    _await(
        "unreachable on nodes a and c",
        UNREACHABLE_WITHIN_S,
        lambda: all(_status_of(cluster, asked, "b") == "unreachable" for asked in OTHERS),
    )
    _await(
        "what was registered with it is not passing there",
        SEEN_WITHIN_S,
        lambda: not any(_passing(cluster, asked, "payments") for asked in OTHERS),
    )
    _await_health(cluster, OTHERS, "web", "passing", SEEN_WITHIN_S, "`web` still is")


def _register(cluster: LocalCluster, index: int, name: str, port: int) -> None:
    check: Json = {
        "type": "http",
        "url": f"http://{HOST}:{port}/health",
        "interval": f"{INTERVAL_S:g}s",
        "timeout": "500ms",
        "failures_before_critical": FAILURES,
    }
    body: Json = {"name": name, "address": HOST, "port": port, "checks": [check]}
    began = time.monotonic()
    try:
        with ApiClient(cluster.api_url(index), None, ASK_TIMEOUT_S) as api:
            reply = api.call("POST", "/v1/services", body=body)
    except ApiError as error:
        raise DemoError(f"`{name}` could not be registered: {error}") from None
    _done(f"acknowledged with {reply.status}: signed and on disk", time.monotonic() - began)


def _await_health(
    cluster: LocalCluster, nodes: Sequence[int], name: str, health: str, within_s: float, what: str
) -> None:
    def reached() -> bool:
        return all(
            [one.get("health") for one in _find(cluster, n, name)] == [health] for n in nodes
        )

    _await(what, within_s, reached)


def _passing(cluster: LocalCluster, index: int, name: str) -> bool:
    return any(one.get("health") == "passing" for one in _find(cluster, index, name))


def _find(cluster: LocalCluster, index: int, name: str) -> list[dict[str, Json]]:
    return _rows(cluster.api_url(index), f"/v1/services/{name}", "instances")


def _status_of(cluster: LocalCluster, asked: int, name: str) -> Json:
    peers = _rows(cluster.api_url(asked), "/v1/peers", "peers")
    return next((peer.get("status") for peer in peers if peer.get("name") == name), None)


def _rows(url: str, path: str, key: str) -> list[dict[str, Json]]:
    """The list under `key`; empty if the node does not answer."""
    try:
        with ApiClient(url, None, ASK_TIMEOUT_S) as api:
            value = api.call("GET", path).value
    except ApiError:
        return []
    rows = value.get(key) if isinstance(value, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _serves(port: int) -> bool:
    try:
        with ApiClient(f"http://{HOST}:{port}", None, ASK_TIMEOUT_S) as api:
            return api.call("GET", "/health").status == 200
    except ApiError:
        return False


def _show(cluster: LocalCluster, index: int, name: str) -> None:
    for one in _find(cluster, index, name):
        fields = ("id", "address", "port", "health", "node")
        shown = ", ".join(f"{field} {one[field]}" for field in fields if field in one)
        print(f"      GET {cluster.api_url(index)}/v1/services/{name}: {shown}", flush=True)


def _await(what: str, within_s: float, happened: Callable[[], bool]) -> None:
    """Poll until it is so.

    Raises:
        DemoError: it is not within `within_s` seconds.
    """
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > within_s:
            raise DemoError(f"not within {within_s:g} s: {what}")
        time.sleep(POLL_S)
    _done(what, time.monotonic() - began)


def _tell(what: str) -> None:
    print(f"\n▸ {what}", flush=True)


def _done(what: str, took_s: float) -> None:
    print(f"    ✓ {took_s:6.2f} s  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
