"""Networks of namespaces: who hears whom, what a cut drops, and that nothing is left behind."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.namespaces import NODES_MAX, Namespaces, NetworkError

from .situations import skip_unless_possible

PORT = 4_000
SOON_S, NEVER_S = 2.0, 0.2

pytestmark = pytest.mark.slow


def names() -> set[str]:
    directory = Path("/run/netns")
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


@pytest.fixture
def three() -> Iterator[Namespaces]:
    skip_unless_possible("namespaces")
    with Namespaces(3) as networks:
        yield networks


def hears(networks: Namespaces, sender: int, receiver: int, wait_s: float) -> bool:
    """Whether a datagram from one arrives at the other."""
    with (
        contextlib.closing(networks.open_socket(receiver, socket.SOCK_DGRAM)) as ear,
        contextlib.closing(networks.open_socket(sender, socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind((networks.address(receiver), PORT))
        ear.settimeout(wait_s)
        mouth.sendto(b"here", (networks.address(receiver), PORT))
        try:
            return ear.recv(16) == b"here"
        except TimeoutError:
            return False


def test_everybody_hears_everybody(three: Namespaces) -> None:
    heard = [hears(three, a, b, SOON_S) for a in range(3) for b in range(3)]

    assert heard == [True] * 9


def test_a_cut_is_silent_in_both_directions_and_ends_when_healed(three: Namespaces) -> None:
    three.cut([0, 1], [2])

    assert not hears(three, 0, 2, NEVER_S)
    assert not hears(three, 2, 1, NEVER_S)
    assert hears(three, 0, 1, SOON_S)
    three.heal()
    assert hears(three, 0, 2, SOON_S)
    assert hears(three, 2, 1, SOON_S)


def test_a_cut_replaces_the_one_before_and_may_have_many_sides(three: Namespaces) -> None:
    three.cut([0, 1], [2])
    three.cut([0], [1], [2])
    assert not any(hears(three, a, b, NEVER_S) for a in range(3) for b in range(3) if a != b)

    three.cut([0], [1, 2])

    assert hears(three, 1, 2, SOON_S)
    assert not hears(three, 0, 1, NEVER_S)


def test_a_cut_stops_connections_that_stand_and_a_heal_lets_them_go_on(three: Namespaces) -> None:
    with (
        contextlib.closing(three.open_socket(0, socket.SOCK_STREAM)) as server,
        contextlib.closing(three.open_socket(1, socket.SOCK_STREAM)) as client,
    ):
        server.bind((three.address(0), PORT))
        server.listen()
        client.connect((three.address(0), PORT))
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(NEVER_S)
            three.cut([0], [1])
            client.sendall(b"late")
            with pytest.raises(TimeoutError):
                accepted.recv(16)

            three.heal()

            accepted.settimeout(SOON_S)
            assert accepted.recv(16) == b"late"


def test_nothing_is_left_behind_also_after_a_failure() -> None:
    skip_unless_possible("namespaces")
    before = names()

    two = Namespaces(2)

    with contextlib.suppress(RuntimeError), two:
        two.cut([0], [1])
        assert len(names()) == len(before) + 3
        raise RuntimeError

    assert names() == before
    two.close()
    with pytest.raises(NetworkError):
        two.cut([0], [1])
    with pytest.raises(NetworkError):
        two.open_socket(0, socket.SOCK_DGRAM)


@pytest.mark.parametrize("count", [0, NODES_MAX + 1])
def test_there_are_no_networks_of_none_or_too_many(count: int) -> None:
    with pytest.raises(ValueError, match="count must be"):
        Namespaces(count)
