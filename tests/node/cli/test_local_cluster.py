"""A local cluster of real processes, of nodes that only pretend: start, fall, end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from node.cli import dev, local_cluster
from node.cli.local_cluster import (
    NODES_MAX,
    ClusterError,
    Fallen,
    LocalCluster,
    choose_ports,
    free_ports,
    is_free,
    name_of,
)
from node.client import ApiClient, ApiError

ROOT = Path(__file__).parents[3]
PRETENDING = (sys.executable, "-m", "tests.node.cli.fake_node")

pytestmark = pytest.mark.slow


def pretending(nodes: int = 2, *options: str) -> LocalCluster:
    return LocalCluster(nodes, http_port=0, command=PRETENDING, options=options)


def test_a_cluster_becomes_ready_node_by_node_and_leaves_nothing_behind() -> None:
    said: list[str] = []
    with pretending() as cluster:
        cluster.start()
        assert cluster.wait_ready(say=said.append)

        assert sorted(line[:15] for line in said) == ["node a is ready", "node b is ready"]
        assert said[-1].endswith("(2 of 2)")
        pids = [cluster.pid(index) for index in range(len(cluster))]
        with ApiClient(cluster.api_url(1), None, 5) as api:
            assert api.call("GET", "/readyz").status == 200

    assert [cluster.pid(index) for index in range(2)] == [0, 0]
    assert not cluster.directory.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_killed_node_is_told_once_and_starts_again() -> None:
    with pretending() as cluster:
        cluster.start()
        cluster.wait_ready()
        before = cluster.pid(1)

        cluster.kill(1)
        assert cluster.wait_ended(1, 10)

        assert cluster.newly_fallen() == [Fallen("b", -signal.SIGKILL, ("serving",))]
        assert cluster.newly_fallen() == []
        cluster.start_node(1)
        assert cluster.wait_ready()
        assert cluster.pid(1) not in {0, before}
        with pytest.raises(ClusterError, match="node b runs already"):
            cluster.start_node(1)


def test_a_node_that_cannot_start_is_reported_with_the_end_of_its_log() -> None:
    with pretending(1, "--broken") as cluster:
        cluster.start()
        with pytest.raises(ClusterError, match="node a ended with exit code 3") as caught:
            cluster.wait_ready()
    assert "the disk is on fire" in str(caught.value)


def test_waiting_ends_when_it_is_cancelled_or_too_long() -> None:
    with pretending(1) as cluster:
        assert cluster.wait_ready(cancelled=lambda: True) is False
        with pytest.raises(ClusterError, match="did not become ready in time"):
            cluster.wait_ready(0.0)


def test_a_program_that_is_not_there_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    with (
        LocalCluster(1, http_port=0, command=[str(tmp_path / "none")]) as cluster,
        pytest.raises(ClusterError, match="a cannot be started"),
    ):
        cluster.start()


def test_a_stopped_process_is_killed_after_the_grace() -> None:
    with pretending(1) as cluster:
        cluster.start()
        cluster.wait_ready()
        cluster.kill(0, signal.SIGSTOP)
        cluster.stop(grace_s=0.05)
        assert cluster.pid(0) == 0


def test_a_service_really_answers() -> None:
    with pretending(1) as cluster:
        port = cluster.start_service("web")
        with ApiClient(f"http://127.0.0.1:{port}", None, 1) as api:
            assert reached(api)
            assert api.call("GET", "/health").value == {"status": "ok"}
        cluster.stop_service("web")
        assert cluster.newly_fallen() == []
        assert is_free(port)


def reached(api: ApiClient) -> bool:
    for _ in range(200):
        try:
            api.call("GET", "/health")
        except ApiError:
            threading.Event().wait(0.05)
        else:
            return True
    return False


def test_no_variable_of_the_caller_reaches_a_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KITH_TOKEN", "secret")
    show = "import os; print(sorted(k for k in os.environ if k.startswith('KITH_')))"
    child = local_cluster.Child("x", [sys.executable, "-c", show], tmp_path / "x.log")
    child.start()
    local_cluster.end_all([child], grace_s=0) if child.ended_by(1e12) else pytest.fail("stuck")
    assert child.last_lines() == ("[]",)


def test_a_taken_port_moves_the_whole_block() -> None:
    first = free_block()
    with socket.create_server(("127.0.0.1", first + 11)):
        pairs = choose_ports(2, first)
    assert pairs == [(first + 1000, first + 1001), (first + 1010, first + 1011)]
    assert choose_ports(2, first) == [(first, first + 1), (first + 10, first + 11)]


def free_block() -> int:
    """The first of a few ports that are free, and so a thousand higher."""
    needed = (0, 1, 10, 11, 1000, 1001, 1010, 1011)
    return next(
        first
        for first in range(20_000 + os.getpid() % 5_000, 60_000, 20)
        if all(is_free(first + offset) for offset in needed)
    )


def test_no_free_ports_is_an_error() -> None:
    with pytest.raises(ClusterError, match="try another --http-port"):
        choose_ports(3, 65_530)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


@pytest.mark.parametrize("nodes", [0, NODES_MAX + 1])
def test_the_number_of_nodes_has_limits(nodes: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {NODES_MAX}"):
        LocalCluster(nodes)


def test_names_go_on_after_z() -> None:
    assert [name_of(index) for index in (0, 25, 26)] == ["a", "z", "n26"]


DEV = """
import sys
from node.cli import dev, local_cluster, main
original = local_cluster.LocalCluster.__init__
def pretending(self, *words, **named):
    original(self, *words, **named, command=(sys.executable, "-m", "tests.node.cli.fake_node"),
             options=sys.argv[1:])
local_cluster.LocalCluster.__init__ = pretending
sys.exit(main(["dev", "--nodes", "2", "--http-port", "0"]))
"""


@contextmanager
def kith_dev(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", DEV, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill() if process.poll() is None else None


def lines_until(process: subprocess.Popen[str], stream: IO[str] | None, end: str) -> str:
    assert stream is not None
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if end in line:
            return "".join(lines)
    pytest.fail(f"{end!r} not in {lines}; then: {process.communicate(timeout=30)}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_says_where_to_look_and_ends_orderly(number: int) -> None:
    with kith_dev() as process:
        guide = lines_until(process, process.stdout, "kill -9")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "A cluster of 2 is up. Ctrl-C ends it" in guide
    assert "lookup demo --api http://127.0.0.1:" in guide
    assert "curl -s http://127.0.0.1:" in guide
    assert "service demo registered with a, found through b" in err
    assert err.endswith("kith dev: stopping …\nkith dev: all ended; data removed\n")
    assert "Traceback" not in err
    directory = err.partition("data in ")[2].partition(" …")[0]
    assert "kith-dev-" in directory
    assert not Path(directory).exists()


def test_dev_tells_of_a_node_that_dies_and_goes_on() -> None:
    with kith_dev() as process:
        guide = lines_until(process, process.stdout, "kill -9")
        os.kill(int(guide.partition("pid ")[2].split()[0]), signal.SIGKILL)
        lines_until(process, process.stderr, "a was killed by SIGKILL")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_dev_of_nodes_that_cannot_start_is_an_error_with_their_log() -> None:
    with kith_dev("--broken") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "the disk is on fire" in err
    assert "Traceback" not in err


def test_the_stop_flag_gives_the_signals_back() -> None:
    before = [signal.getsignal(number) for number in dev.STOP_SIGNALS]
    flag = dev.StopFlag()
    restore = flag.install()
    signal.raise_signal(signal.SIGTERM)
    restore()
    assert flag.is_set()
    assert [signal.getsignal(number) for number in dev.STOP_SIGNALS] == before
