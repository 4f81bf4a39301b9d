"""One suite for every store: own commits that somebody still lacks, and how far each has come."""

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.commits import NOTHING, Dot
from protocol.delivery.standing import Priority
from protocol.effects import DropDelivery, Keep, TrimOutbox
from protocol.identity import NodeId
from protocol.limits import OWN_STEPS_KEPT
from storage import DatabaseDamagedError, Loaded, Store, memory, open_store, store

from .lives import Lives
from .situations import (
    ALICE,
    BOB,
    CAROL,
    CLUSTER,
    delivery,
    entries,
    keep,
    manifest,
    mend,
    open_alice,
    reaped,
    steps,
)


def trim(version: int) -> TrimOutbox:
    return TrimOutbox(Dot(0, version))


def own_versions(loaded: Loaded) -> list[int]:
    """Of the own branch's commits that are read whole."""
    (branch,) = (branch for branch in loaded.branches if branch.owner == ALICE)
    return [commit.head.version for commit in branch.commits]


def recalled(found: Store, after: int, count: int, bytes_max: int = 10**9) -> list[int]:
    return [one.head.version for one in found.recall(Dot(0, after), count, bytes_max)]


def test_deliveries_come_back_sorted_by_peer_the_newest_word_of_each(lives: Lives) -> None:
    lives.store.write([delivery(CAROL, 5), delivery(BOB, 1), delivery(BOB, 2, attempts=3)])
    lives.store.write([delivery(CAROL, 6)])

    assert lives.restart().load().deliveries == (
        delivery(BOB, 2, attempts=3).delivery,
        delivery(CAROL, 6).delivery,
    )
    assert lives.store.statistics().deliveries == 2


def test_a_delivery_that_was_dropped_is_gone_until_it_is_told_again(lives: Lives) -> None:
    lives.store.write([delivery(BOB, 1), delivery(CAROL, 1)])
    lives.store.write([DropDelivery(CAROL), DropDelivery(ALICE), delivery(BOB, 2)])
    assert lives.restart().load().deliveries == (delivery(BOB, 2).delivery,)

    lives.store.write([DropDelivery(BOB), delivery(BOB, 3)])

    assert lives.restart().load().deliveries == (delivery(BOB, 3).delivery,)


def test_own_commits_wait_in_the_outbox_with_priority_and_size(lives: Lives) -> None:
    first = steps(ALICE, 1, 2, priority=Priority.BACKGROUND)
    then = steps(ALICE, 3, 2, parent=first[-1].commit, priority=Priority.CRITICAL)
    lives.store.write([*first, *steps(BOB, 1, 3)])
    lives.store.write(then)

    loaded = lives.restart().load()

    assert loaded.outbox == entries([*first, *then])
    assert [entry.priority for entry in loaded.outbox] == [0, 0, 2, 2]
    assert loaded.outbox_floor == NOTHING
    found = lives.store.statistics()
    assert (found.outbox, found.outbox_bytes) == (4, sum(entry.size for entry in loaded.outbox))


def test_what_was_trimmed_is_out_of_the_outbox_and_the_mark_never_goes_back(lives: Lives) -> None:
    own = steps(ALICE, 1, 9)
    lives.store.write([*own, trim(4)])
    lives.store.write([trim(2)])

    loaded = lives.restart().load()

    assert (loaded.outbox, loaded.outbox_floor) == (entries(own[4:]), Dot(0, 4))
    assert own_versions(loaded) == list(range(1, 10))
    assert lives.store.statistics().outbox == 5


def test_own_commits_since_the_mark_stay_however_many(lives: Lives) -> None:
    count = 2 * OWN_STEPS_KEPT + 10
    own = steps(ALICE, 1, count)
    lives.store.write([*own[:10], trim(7)])
    for start in range(10, count, 25):
        lives.store.write(own[start : start + 25])

    loaded = lives.restart().load()

    assert loaded.outbox == entries(own[7:])
    assert own_versions(loaded) == list(range(count - OWN_STEPS_KEPT + 1, count + 1))
    assert lives.store.statistics().commits == count - 6


def test_trimming_removes_all_but_the_newest_own_commits(lives: Lives) -> None:
    count = OWN_STEPS_KEPT + 50
    own = steps(ALICE, 1, count)
    lives.store.write([*own, *steps(BOB, 1, 3)])

    lives.store.write([trim(count)])

    loaded = lives.restart().load()
    assert (loaded.outbox, loaded.outbox_floor) == ((), Dot(0, count))
    assert own_versions(loaded) == list(range(51, count + 1))
    assert lives.store.statistics().commits == OWN_STEPS_KEPT + 3


def test_own_commits_are_bounded_though_nobody_trims(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory, store):
        monkeypatch.setattr(module, "OWN_COMMITS_KEPT", 300)
        monkeypatch.setattr(module, "OWN_COMMITS_MAX", 310)
    own = steps(ALICE, 1, 640)
    most = 0
    for start in range(0, 640, 8):
        lives.store.write(own[start : start + 8])
        most = max(most, lives.store.statistics().commits)

        loaded = lives.restart().load() if start % 128 == 0 else lives.store.load()
        first = loaded.outbox_floor.version if loaded.outbox_floor > NOTHING else 0
        assert loaded.outbox == entries(own[first : start + 8])

    assert 301 <= most <= 310


@pytest.mark.parametrize("jump", [manifest, mend, reaped])
def test_a_jump_of_our_branch_begins_the_outbox_anew_behind_it(
    lives: Lives, jump: Callable[[NodeId, int], Keep]
) -> None:
    own = steps(ALICE, 1, 5)
    leap = jump(ALICE, 8)
    parent = keep(ALICE, 8).commit
    after = steps(ALICE, 9, 2, parent=parent)
    lives.store.write([*own, leap])
    assert lives.restart().load().outbox == ()
    assert lives.store.load().outbox_floor == Dot(0, 8)

    lives.store.write(after)

    loaded = lives.restart().load()
    assert (loaded.outbox, loaded.outbox_floor) == (entries(after), Dot(0, 8))


def test_a_jump_of_another_branch_leaves_the_outbox_alone(lives: Lives) -> None:
    own = steps(ALICE, 1, 2)
    lives.store.write([*own, *steps(BOB, 1, 5), manifest(BOB, 9)])

    assert lives.restart().load().outbox == entries(own)


def test_what_does_not_lead_to_our_head_is_cut_off(lives: Lives) -> None:
    root = steps(ALICE, 1, 1)
    lost = steps(ALICE, 2, 3, parent=root[0].commit)
    kept = steps(ALICE, 4, 2, parent=root[0].commit)
    lives.store.write([*root, *lost])

    lives.store.write(kept)

    # 2 and 3 are of the other side; who holds 1 only is shown the state.
    loaded = lives.restart().load()
    assert own_versions(loaded) == [1, 2, 3, 4, 5]
    assert (loaded.outbox, loaded.outbox_floor) == (entries(kept), Dot(0, 3))


def test_recall_gives_own_commits_after_a_dot_within_count_and_bytes(lives: Lives) -> None:
    own = steps(ALICE, 1, 6)
    size = len(own[1].commit.pack())
    lives.store.write([*own, *steps(BOB, 1, 3)])
    found = lives.restart()

    assert found.recall(NOTHING, 2, 10**9) == (own[0].commit, own[1].commit)
    assert recalled(found, 3, 10) == [4, 5, 6]
    assert recalled(found, 1, 10, 3 * size) == [2, 3, 4]
    assert recalled(found, 1, 10, 3 * size - 1) == [2, 3]
    assert recalled(found, 1, 10, 1) == [2]
    assert recalled(found, 6, 10) == []
    assert recalled(found, 1, 0) == []


def test_rows_of_delivery_that_nobody_wrote_are_refused_when_loaded(tmp_path: Path) -> None:
    for number, statement in enumerate(
        (
            "UPDATE deliveries SET breaker = 7",
            "UPDATE deliveries SET peer = x'00'",
            "UPDATE deliveries SET held_version = 'x'",
            "UPDATE commits SET priority = -1 WHERE version = 2",
            "UPDATE commits SET size = 'x' WHERE version = 2",
        )
    ):
        path = tmp_path / str(number) / "kith.db"
        path.parent.mkdir()
        found = open_alice(path)
        found.write([delivery(BOB, 1), *steps(ALICE, 1, 2)])
        with found._database.transaction() as connection:
            connection.exec_driver_sql(statement)

        with pytest.raises(DatabaseDamagedError, match="a row cannot be read"):
            found.load()
        found.close()
        assert open_store(path, cluster=CLUSTER, node=ALICE).name == str(path)
