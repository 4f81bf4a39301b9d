"""No room: nothing half done, and everything works again with room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import DiskFullError, SqliteStore

from .situations import ALICE, keep, open_alice, result


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    found = open_alice(tmp_path / "kith.db")
    found.write([keep(ALICE, 1, web=b"1")])
    yield found
    found.close()


def allow_pages(store: SqliteStore, pages: int) -> None:
    """SQLite's own limit answers like a full disk: SQLITE_FULL."""
    connection = store._database._connection
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close()
    connection.rollback()


def test_full_disk_undoes_all_of_a_write_and_room_makes_it_work(store: SqliteStore) -> None:
    allow_pages(store, 1)
    before = store.load()
    large = {f"s{n}": b"x" * 8_000 for n in range(50)}

    for _ in range(3):
        with pytest.raises(DiskFullError, match="free space"):
            store.write([keep(ALICE, 2, web=b"2"), keep(ALICE, 3, **large)], [result("u")])

    assert store.load() == before
    assert store.find_result("u") is None

    allow_pages(store, 10_000)
    store.write([keep(ALICE, 2, web=b"2"), keep(ALICE, 3, **large)], [result("u")])

    assert store.load().last_dot.version == 3
    assert len(store.load().branches[0].records) == 51
    assert store.find_result("u") == result("u")
