"""What an instance costs in memory wherever it is known, by count of bytes and not by the clock."""

import gc
import tracemalloc

from protocol.commits import unpack_commit
from protocol.records import ServiceRecord
from protocol.registry import Registry

from .author import Author
from .peer_world import TRUST

INSTANCES = 2_000
STEPS = 20
BYTES_MAX = 1_500
"""Of one instance, its share of all tables and trees included; 1,220 when this was written, and
2,130 when each had names, tags and metadata of its own."""


def instance(number: int) -> ServiceRecord:
    """One of some 200 bytes, as much like its fellows as those of a real service."""
    return ServiceRecord(
        name=f"service-{number % 20}",
        id=f"i-{number}",
        address="10.1.0.7",
        port=8080,
        tags=("canary", "v1"),
        metadata=(("build", "2026-02-11T08:30:00Z"), ("commit", "9f2c41d7e0b85a63"), ("team", "a")),
        version="1.0",
        zone="z1",
        updated_at=1_800_000_000_000_000 + number,
    )


def history(author: Author) -> list[bytes]:
    """All instances in so many commits, as they are on the wire."""
    share = INSTANCES // STEPS
    return [
        author.commit(*(instance(step * share + one) for one in range(share))).pack()
        for step in range(STEPS)
    ]


def test_an_instance_of_another_costs_little_memory() -> None:
    author = Author()
    packed = history(author)
    registry = Registry(TRUST)
    registry.learn([event.pack() for event in author.events])
    gc.collect()

    tracemalloc.start()
    try:
        for step in packed:
            registry.offer(author.id, [unpack_commit(step)], now=0.0)
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sum(1 for name in registry.services() for _ in registry.instances(name)) == INSTANCES
    assert held_bytes / INSTANCES < BYTES_MAX, held_bytes / INSTANCES
