"""Packets that wait for their time: when they leave, how often, in which order, and how many."""

import socket
from random import Random

import pytest

from chaos.faults.delayline import (
    PACKETS_MAX,
    QUEUED_BYTES_MAX,
    DelayQueue,
    Shape,
    rules_in,
    rules_out,
)
from chaos.faults.egress import egress_lines

PEER, OTHER = (socket.inet_aton(f"10.77.0.{number}") for number in (2, 3))


def packet(number: int, to: bytes = PEER, size: int = 24) -> bytes:
    """As much of an IPv4 packet as counts: the destination, and a number to tell it by."""
    return (b"\x45" + bytes(15) + to + number.to_bytes(4, "big")).ljust(size, b"\0")


def number_of(one: bytes) -> int:
    return int.from_bytes(one[20:24], "big")


def queue(**shape: float) -> DelayQueue:
    made = DelayQueue(Random(1))
    made.shape({PEER: Shape(**shape)})
    return made


def test_a_packet_leaves_when_its_latency_is_over_and_not_before() -> None:
    line = queue(latency_s=0.05)

    line.put(packet(1), now=10.0)

    assert line.next_s == pytest.approx(10.05)
    assert line.due(now=10.049) == []
    assert [number_of(one) for _, one in line.due(now=10.05)] == [1]
    assert (line.next_s, len(line)) == (None, 0)


def test_only_links_that_were_named_are_held_back() -> None:
    line = queue(latency_s=1.0)

    line.put(packet(1), now=0.0)
    line.put(packet(2, OTHER), now=0.0)

    assert [number_of(one) for _, one in line.due(now=0.5)] == [2]


def test_equal_latencies_keep_the_order_and_the_bytes() -> None:
    line = queue(latency_s=0.5)
    sent = [packet(number) for number in range(100)]

    for one in sent:
        line.put(one, now=0.0)

    assert [one for _, one in line.due(now=1.0)] == sent


def test_jitter_stays_within_its_bounds_and_uses_them() -> None:
    line = queue(latency_s=0.1, jitter_s=0.04)

    for number in range(1_000):
        line.put(packet(number), now=0.0)

    times = [due_s for due_s, _ in line.due(now=1.0)]
    assert 0.06 <= min(times) < 0.062
    assert 0.138 < max(times) <= 0.14


def test_about_its_share_is_sent_twice_and_about_its_share_overtakes() -> None:
    line = queue(latency_s=0.1, duplicate=0.2, reorder=0.3)

    for number in range(1_000):
        line.put(packet(number), now=0.0)

    early, late = line.due(now=0.0), line.due(now=1.0)
    assert 1_120 < len(early) + len(late) < 1_280
    assert 220 < len(early) < 380
    assert {number_of(one) for _, one in early + late} == set(range(1_000))


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    line = queue(latency_s=1.0)
    for number in range(PACKETS_MAX + 5):
        line.put(packet(number), now=0.0)
    assert (len(line), line.dropped_count) == (PACKETS_MAX, 5)

    line = queue(latency_s=1.0)
    size = 60_000
    for number in range(QUEUED_BYTES_MAX // size + 3):
        line.put(packet(number, size=size), now=0.0)
    assert (len(line), line.dropped_count) == (QUEUED_BYTES_MAX // size, 3)
    line.due(now=2.0)
    line.put(packet(1, size=size), now=2.0)
    assert len(line) == 1, "what has left makes room"


@pytest.mark.parametrize("runt", [b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(39)])
def test_what_is_no_packet_is_passed_over(runt: bytes) -> None:
    line = queue(latency_s=1.0)

    line.put(runt, now=0.0)

    assert len(line) == 0


def test_rules_that_are_ours_are_taken_away_and_no_others() -> None:
    listed = (
        "0:\tfrom all lookup local\n17416:\tfrom all fwmark 0x4b17 lookup main\n"
        "17417:\tfrom all to 10.77.0.2 lookup 17417\n17417:\tfrom all to 10.77.0.3 lookup 17417\n"
        "32766:\tfrom all lookup main\n"
    )

    assert rules_out(listed) == "rule del pref 17417\n" * 2 + "rule del pref 17416\n"
    assert rules_out("0:\tfrom all lookup local\n") == ""
    assert rules_in("10.77.0.1", ["10.77.0.2"]).count("\n") == 3


def test_the_kernel_s_queue_is_told_the_same() -> None:
    lines = egress_lines(0, {"10.77.0.2": Shape(0.05, 0.01, 0.02, 0.25), "10.77.0.3": Shape(0.1)})

    assert "1:2 netem limit 20000 delay 50.000ms 10.000ms reorder 25.000% duplicate 2.000%" in lines
    assert "1:3 netem limit 20000 delay 100.000ms\n" in lines
    assert "match ip dst 10.77.0.3/32 flowid 1:3" in lines
