"""What the statements of the hot path cost: steps of an index, however much lies there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from protocol.commits import Dot
from protocol.delivery.standing import Delivery
from protocol.effects import Keep, KeepDelivery, TrimOutbox
from protocol.identity import NodeId
from storage import SqliteStore, statements

from .situations import ALICE, open_alice, result, steps


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    found = open_alice(tmp_path / "kith.db")
    yield found
    found.close()


def plan_of(connection: Connection, statement: str) -> list[str]:
    """How SQLite goes about it, step by step."""
    rows = connection.exec_driver_sql(
        f"EXPLAIN QUERY PLAN {statement}", (0,) * statement.count("?")
    )
    return [str(row[3]) for row in rows]


def instructions(store: SqliteStore, keeps: list[Keep]) -> int:
    """How many steps SQLite's machine makes for a write."""
    driver = store._database._connection.connection.driver_connection
    assert driver is not None
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    driver.set_progress_handler(step, 1)
    store.write(keeps, [result(f"u{keeps}")])
    driver.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize(
    "statement",
    [
        statements.PRUNE_OWN_COMMITS,
        statements.PRUNE_COMMITS,
        statements.REMOVE_COMMITS_FROM,
        statements.COUNT_COMMITS,
        statements.FIND_NTH_NEWEST,
    ],
)
def test_statements_on_commits_walk_the_index_of_their_key_only(
    store: SqliteStore, statement: str
) -> None:
    with store._database.transaction() as connection:
        steps_of_it = plan_of(connection, statement)

    on_commits = [step for step in steps_of_it if "commits" in step]
    assert on_commits
    for step in on_commits:
        assert step.startswith("SEARCH commits ")
        assert "INDEX sqlite_autoindex_commits_1 (owner=?" in step


def test_pruning_begins_at_the_oldest_and_ends_at_the_bound(store: SqliteStore) -> None:
    with store._database.transaction() as connection:
        first = plan_of(connection, statements.PRUNE_OWN_COMMITS)[0]

    assert first.endswith("(owner=? AND (epoch,version)<(?,?))")


def test_an_own_commit_costs_the_same_whatever_waits_in_the_outbox(store: SqliteStore) -> None:
    own = steps(ALICE, 1, 3_002)
    store.write([*own[:300]])
    among_few = instructions(store, [own[300]])
    store.write([*own[301:3_001]])
    assert store.load().outbox_floor == Dot(-1, 0)

    among_many = instructions(store, [own[3_001]])

    assert among_many <= among_few + 50


def test_an_own_commit_costs_the_same_whoever_lacks_it(store: SqliteStore) -> None:
    own = steps(ALICE, 1, 302)
    store.write([*own[:300]])
    alone = instructions(store, [own[300]])
    peers = [NodeId(n.to_bytes(32, "big")) for n in range(1_000)]
    store.write([KeepDelivery(Delivery(peer=peer)) for peer in peers])

    assert instructions(store, [own[301]]) <= alone + 50


def test_what_is_trimmed_is_found_without_looking_at_what_stays(store: SqliteStore) -> None:
    own = steps(ALICE, 1, 3_000)
    store.write([*own[:1_000]])
    among_few = instructions(store, [TrimOutbox(Dot(0, 10))])
    store.write([*own[1_000:]])

    assert instructions(store, [TrimOutbox(Dot(0, 20))]) <= among_few + 50
