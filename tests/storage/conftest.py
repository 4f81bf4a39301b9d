"""Every store there is, for the suites that each must pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import MemoryStore, Store

from .lives import Lives
from .situations import ALICE, open_alice


@pytest.fixture(params=["memory", "sqlite"])
def lives(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lives]:
    forgetful = MemoryStore(ALICE)

    def open_memory() -> Store:
        forgetful.open()
        return forgetful

    def open_sqlite() -> Store:
        return open_alice(tmp_path / "kith.db")

    found = Lives(open_memory if request.param == "memory" else open_sqlite)
    yield found
    found.store.close()
