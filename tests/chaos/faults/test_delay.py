"""Delays on real networks: what they add, that addresses stay, and that nothing is left."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from chaos.cluster.processes import clean_environment
from chaos.cluster.wires import TUN, delay_means
from chaos.faults.delay import DelayTable
from chaos.faults.delayline import Shape
from chaos.faults.egress import egress_lines
from chaos.faults.fault import FaultError, Table
from chaos.faults.hands import renew
from chaos.faults.links import run_inside

from .situations import PORT, SOON_S, Scene, arrivals, empty_networks, hears, traces

LATENCY_S = 0.2
MUCH_LATER_S = 5.0
"""What a busy machine may add before a test calls it wrong."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with empty_networks(3, tmp_path_factory.mktemp("three")) as made:
        yield made


@pytest.fixture
def three(_three: Scene) -> Iterator[Scene]:
    """By our delay line, also where the kernel has netem."""
    _three.notes.links_.clear()
    _three.notes.said.clear()
    _three.stage.held.clear()
    _three.stage.means.clear()
    _three.stage.held["delay"] = DelayTable(_three.stage, TUN)
    yield _three
    assert traces(_three) == [], "every test leaves the networks as it found them"


def took_s(scene: Scene, sender: str, receiver: str) -> float:
    """How long a datagram takes."""
    begun = time.perf_counter()
    assert hears(scene, sender, receiver, MUCH_LATER_S)
    return time.perf_counter() - begun


def test_latency_is_added_in_each_direction_and_gone_when_healed(three: Scene) -> None:
    with three.in_force("delay", {"latency": "200ms"}):
        for sender, receiver in ("ab", "ba", "ac", "cb"):
            assert LATENCY_S <= took_s(three, sender, receiver) < LATENCY_S + MUCH_LATER_S
        assert took_s(three, "a", "a") < LATENCY_S, "nothing lies between a node and itself"

    assert took_s(three, "a", "b") < LATENCY_S
    assert "by tun" in three.notes.said[0]
    assert three.stage.means == {"delay": "tun"}
    assert "delay lines sent" in three.notes.said[-1]


def test_only_links_between_groups_are_held_back(three: Scene) -> None:
    with three.in_force("delay", {"latency": "200ms", "groups": [["a"], ["b"]]}):
        assert took_s(three, "a", "b") >= LATENCY_S
        assert took_s(three, "a", "c") < LATENCY_S
        assert took_s(three, "c", "b") < LATENCY_S


def test_delays_of_two_faults_add_up_and_each_heals_its_own(three: Scene) -> None:
    with three.in_force("delay", {"latency": "200ms"}):
        with three.in_force("delay", {"latency": "200ms", "groups": [["a"], ["b"]]}):
            assert took_s(three, "a", "b") >= 2 * LATENCY_S
            assert took_s(three, "a", "c") >= LATENCY_S
        assert took_s(three, "a", "b") >= LATENCY_S


@pytest.mark.parametrize(
    ("latency", "hard", "late"),
    [("10ms", False, True), ("50ms", False, True), ("60ms", True, False)],
)
def test_light_delays_are_late_and_heavy_ones_are_hard(
    three: Scene, latency: str, hard: bool, late: bool
) -> None:
    with three.in_force("delay", {"latency": latency, "groups": [["a"], ["b"]]}):
        assert three.notes.links_[-1] == (frozenset(), 0.0, hard, late)

    assert three.notes.links_[-1] == (frozenset(), 0.0, False, False)


def test_addresses_and_ports_stay_and_a_connection_goes_on_through_it_all(three: Scene) -> None:
    with (
        contextlib.closing(three.socket_in("a", socket.SOCK_STREAM)) as server,
        contextlib.closing(three.socket_in("b", socket.SOCK_STREAM)) as client,
    ):
        server.bind((three.member("a").address, PORT))
        server.listen()
        server.settimeout(20.0)
        client.settimeout(20.0)
        with three.in_force("delay", {"latency": "20ms", "jitter": "5ms"}):
            client.connect((three.member("a").address, PORT))
            accepted, address = server.accept()
            accepted.settimeout(20.0)
            assert address == client.getsockname()
            assert address[0] == three.member("b").address
            assert echoed(client, accepted, bytes(300_000)) == bytes(300_000)
        with accepted:
            assert echoed(client, accepted, b"after") == b"after"


def echoed(client: socket.socket, server: socket.socket, data: bytes) -> bytes:
    """What arrives of it at the other end."""
    client.settimeout(0.0)
    sent, got = 0, b""
    deadline = time.perf_counter() + 20.0
    while len(got) < len(data) and time.perf_counter() < deadline:
        with contextlib.suppress(BlockingIOError):
            sent += client.send(data[sent:])
        server.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            got += server.recv(65_536)
    return got


def test_every_packet_passes_once_unless_it_is_to_pass_twice(three: Scene) -> None:
    with three.in_force("delay", {"latency": "10ms"}):
        assert arrivals(three, "a", "b", count=1_000, wait_s=SOON_S) == 1_000
    with three.in_force("delay", {"duplicate": 0.5}):
        twice = arrivals(three, "a", "b", count=1_000, wait_s=1.0, most=2_000)

    assert 1_380 < twice < 1_620, "half of them, within seven standard deviations"


def test_some_overtake_when_a_share_is_not_held_back(three: Scene) -> None:
    with (
        three.in_force("delay", {"latency": "50ms", "reorder": 0.2}),
        contextlib.closing(three.socket_in("b", socket.SOCK_DGRAM)) as ear,
        contextlib.closing(three.socket_in("a", socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind((three.member("b").address, PORT))
        ear.settimeout(SOON_S)
        for number in range(100):
            mouth.sendto(bytes([number]), (three.member("b").address, PORT))
        heard = [ear.recv(16)[0] for _ in range(100)]

    assert sorted(heard) == list(range(100))
    assert heard != sorted(heard)


def test_a_line_that_dies_leaves_packets_their_old_way_and_is_healed(three: Scene) -> None:
    with three.in_force("delay", {"latency": "200ms", "groups": [["a"], ["b"]]}):
        for line in DelayTable.of(three.stage)._lines.values():
            line._process.kill()
            line._process.wait()

        assert took_s(three, "a", "b") < LATENCY_S


def test_a_network_that_is_new_gets_its_delay_again(three: Scene) -> None:
    """As that of a container that was started again."""
    thin: Table = {"nodes": ["a"], "rate": "1mbit"}
    with three.in_force("delay", {"latency": "200ms"}), three.in_force("bandwidth", thin):
        line = DelayTable.of(three.stage)._lines["a"]
        line._process.kill()
        line._process.wait()
        for pref in ("17416", "17417", "17417"):
            three.inside("a", "ip", "rule", "del", "pref", pref)
        three.inside("a", "tc", "qdisc", "del", "dev", "eth0", "root")
        assert took_s(three, "a", "b") < LATENCY_S

        renew(three.stage, "a")

        assert took_s(three, "a", "b") >= LATENCY_S
        assert "rate 1Mbit" in qdiscs(three, "a")


def test_a_line_whose_owner_is_gone_ends_by_itself(three: Scene) -> None:
    """As when the run is killed: nobody heals."""
    line = subprocess.Popen(
        three.member("a").inside(sys.executable, "-m", "chaos.faults.delayline"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    assert line.stdout is not None
    assert line.stdout.readline() == b"ready\n"

    said, _ = line.communicate(timeout=20.0)

    assert line.returncode == 0
    assert json.loads(said)["sent_count"] == 0


def test_a_line_that_cannot_be_is_an_error_that_says_why(three: Scene) -> None:
    three.inside("a", "ip", "tuntap", "add", "dev", "kith-delay", "mode", "tap")
    try:
        fault = three.fault("delay", {"latency": "10ms"})
        with pytest.raises(FaultError, match="node a: no delay line"):
            fault.inject(three.stage)
        fault.heal(three.stage)
    finally:
        three.inside("a", "ip", "link", "delete", "kith-delay")

    assert took_s(three, "b", "c") < LATENCY_S


def test_the_means_is_one_that_there_is() -> None:
    assert delay_means() in ("netem", "tun")


@pytest.mark.parametrize("rate_bits", [0, 1_000_000])
def test_the_kernel_takes_all_words_for_its_queues_but_perhaps_netem(
    three: Scene, rate_bits: int
) -> None:
    member = three.member("a")
    b, c = (three.member(name).address for name in "bc")
    lines = egress_lines(rate_bits, {b: Shape(0.2), c: Shape(0.1)})
    if delay_means() == TUN:
        lines = "".join(line for line in lines.splitlines(keepends=True) if "netem" not in line)

    run_inside(member, lines, "tc", "-batch", "-")

    try:
        assert (took_s(three, "a", "b") >= LATENCY_S) == (delay_means() != TUN)
        # What goes to c passes its own class.
        shown = three.inside("a", "tc", "-s", "class", "show", "dev", "eth0", "classid", "1:2")
        assert "Sent 0 bytes" not in shown
    finally:
        three.inside("a", "tc", "qdisc", "del", "dev", "eth0", "root")


def test_a_line_that_two_faults_thin_is_as_thin_as_the_thinner(three: Scene) -> None:
    thin: Table = {"nodes": ["a"], "rate": "1mbit"}
    with three.in_force("bandwidth", thin):
        with three.in_force("bandwidth", {"nodes": ["a", "b"], "rate": "2mbit"}):
            assert "rate 1Mbit" in qdiscs(three, "a")
            assert "rate 2Mbit" in qdiscs(three, "b")
        assert "rate 1Mbit" in qdiscs(three, "a")
        assert three.notes.links_[-1] == (frozenset(), 0.0, True, False)
        assert "tbf" not in qdiscs(three, "b")


def test_a_thin_line_carries_as_much_as_it_is_told_to(three: Scene) -> None:
    """A burst of 16 kB passes at once; the rest takes its time."""
    with (
        three.in_force("bandwidth", {"nodes": ["a"], "rate": "1mbit"}),
        contextlib.closing(three.socket_in("b", socket.SOCK_STREAM)) as server,
        contextlib.closing(three.socket_in("a", socket.SOCK_STREAM)) as client,
    ):
        server.bind((three.member("b").address, PORT))
        server.listen()
        client.connect((three.member("b").address, PORT))
        accepted, _ = server.accept()
        begun = time.perf_counter()
        with accepted:
            assert echoed(client, accepted, bytes(100_000)) == bytes(100_000)

    assert time.perf_counter() - begun > 0.5, "84,000 bytes take 0.67 s at 1 Mbit/s"


def qdiscs(scene: Scene, name: str) -> str:
    return scene.inside(name, "tc", "qdisc", "show", "dev", "eth0")
