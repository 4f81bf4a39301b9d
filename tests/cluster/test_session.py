"""The session of the README on real nodes: register, look up, break, mend."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from node.cli.local_cluster import HOST, free_ports

from .situations import LARGE, PATIENCE_S, Node, Shape, Town, expect_within, say

INTERVAL_S, FAILURES = (1.0, 2) if LARGE else (0.5, 2)
NOISE_S = 4.0
"""More than the promise, so that a busy machine fails no test; the figures are printed."""

pytestmark = pytest.mark.slow


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server(port: int) -> Iterator[None]:
    with http.server.ThreadingHTTPServer((HOST, port), _Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_service_is_found_elsewhere_turns_critical_when_it_dies_and_comes_back(
    town: Town,
) -> None:
    a, _, c = town.nodes
    port = free_ports(1)[0]
    check: Shape = {
        "type": "http", "url": f"http://{HOST}:{port}/health", "interval": f"{INTERVAL_S}s",
        "timeout": "400ms", "failures_before_critical": FAILURES,
    }  # fmt: skip

    def all_say(health: str) -> bool:
        return all(node.healths("web") == {f"web-{port}": health} for node in town.nodes)

    with web_server(port):
        a.register("web", port, checks=[check])
        seen = expect_within(PATIENCE_S, lambda: c.healths("web") == {f"web-{port}": "passing"})
        expect_within(PATIENCE_S, lambda: all_say("passing"))
    promised = INTERVAL_S * FAILURES + 1.0
    critical = expect_within(promised + NOISE_S, lambda: all_say("critical"), "critical")
    with web_server(port):
        passing = expect_within(promised + NOISE_S, lambda: all_say("passing"), "passing again")

    say(f"seen through c as passing: {seen:.3f} s after the answer")
    say(f"critical everywhere: {critical:.2f} s after its death (promised {promised:.1f} s)")
    say(f"passing everywhere: {passing:.2f} s after its return")


def passes(*nodes: Node) -> bool:
    """Whether all of them say that b's instance is well."""
    return all(node.healths("db") == {"db-5432": "passing"} for node in nodes)


def test_a_killed_node_is_unreachable_everywhere_its_services_do_not_pass_and_both_return(
    town: Town,
) -> None:
    a, b, c = town.nodes
    b.register("db", 5432)
    others = (a, c)
    expect_within(PATIENCE_S, lambda: passes(*others))

    town.kill(1)
    gone = expect_within(PATIENCE_S, lambda: town.all_see("b", "unreachable"), "unreachable")
    assert all(node.healths("db") == {"db-5432": "critical"} for node in others)
    assert all(node.get("/v1/services/db?health=passing")["instances"] == [] for node in others)

    ready = town.start(1)
    back = expect_within(PATIENCE_S, lambda: town.all_see("b", "alive"), "alive again")
    expect_within(PATIENCE_S, lambda: passes(*town.nodes))

    say(f"unreachable on both others {gone:.2f} s after kill -9")
    say(f"ready {ready:.2f} s after its start, alive everywhere {back:.2f} s later")
