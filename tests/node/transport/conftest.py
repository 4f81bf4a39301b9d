"""A town and its clock."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from .town import Town


@pytest.fixture
async def town(nursery: trio.Nursery) -> AsyncIterator[Town]:
    town = Town(nursery)
    yield town
    for pool in town.pools:
        pool.close()
        assert (pool.counters.open, pool.counters.idle) == (0, 0)
        assert not pool._open_of
        assert not pool._idle_of
        assert not pool._waiting


@pytest.fixture
def jumping_clock() -> MockClock:
    # Loopback needs a moment of real time; only then is a wait known to be for the clock.
    return MockClock(autojump_threshold=0.05)
