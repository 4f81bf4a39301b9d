"""One suite for every store: whatever keeps state must pass it."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.commits import NOTHING, Dot, Record
from protocol.delivery.standing import Priority
from protocol.effects import DropDelivery, Keep, KeepEvidence, TrimOutbox
from protocol.identity import NodeId
from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT
from protocol.restored import RestoredBranch
from storage import Loaded, MemoryStore, StorageClosedError, Store, interface, memory, store
from storage.interface import RESULTS_AGE_MAX_US

from .lives import Lives
from .situations import (
    ALICE,
    BOB,
    CAROL,
    chain,
    delivery,
    fork,
    head_of,
    keep,
    key_fork,
    manifest,
    mend,
    open_alice,
    reaped,
    result,
    steps,
)


def only_branch(store: Store) -> RestoredBranch:
    (branch,) = store.load().branches
    return branch


def test_new_store_knows_nothing(lives: Lives) -> None:
    assert lives.store.load() == Loaded(0, NOTHING, (), forgotten=True)


def test_each_life_is_one_higher_also_after_a_restart(lives: Lives) -> None:
    assert [lives.store.begin_life(), lives.store.begin_life()] == [1, 2]

    assert lives.restart().begin_life() == 3
    assert lives.store.load().incarnation == 3


def test_commits_come_back_with_records_head_and_order(lives: Lives) -> None:
    first = keep(BOB, 10, web=b"one", db=b"two")
    second = keep(BOB, 11, web=b"three", db=None)
    lives.store.write([first, second])

    assert lives.restart().load() == Loaded(
        0,
        NOTHING,
        (
            RestoredBranch(
                BOB,
                (),
                second.commit.head,
                (first.commit, second.commit),
                (Record(1, "web", b"three"),),
                reaped=False,
            ),
        ),
        forgotten=True,
    )


def test_record_removed_in_a_later_write_is_gone(lives: Lives) -> None:
    lives.store.write([keep(BOB, 1, web=b"1", db=b"2")])

    lives.store.write([keep(BOB, 2, web=None)])

    assert only_branch(lives.restart()).records == (Record(1, "db", b"2"),)


def test_branches_are_sorted_by_owner_and_records_by_kind_and_key(lives: Lives) -> None:
    lives.store.write([keep(CAROL, 1), keep(ALICE, 1, b=b"1", a=b"2"), keep(BOB, 1)])

    branches = lives.restart().load().branches

    assert [branch.owner for branch in branches] == [ALICE, BOB, CAROL]
    assert branches[0].records == (Record(1, "a", b"2"), Record(1, "b", b"1"))


def test_own_commit_raises_the_own_version_and_another_owners_does_not(lives: Lives) -> None:
    lives.store.write([keep(BOB, 99)])
    assert lives.store.load().last_dot == NOTHING

    lives.store.write([keep(ALICE, 7), keep(BOB, 100)])

    assert lives.restart().load().last_dot == Dot(0, 7)


def test_own_version_never_goes_back_even_if_the_head_does(lives: Lives) -> None:
    lives.store.write([keep(ALICE, 9), manifest(ALICE, 5)])
    lives.store.write([keep(ALICE, 8)])

    assert lives.restart().load().last_dot == Dot(0, 9)


def test_manifest_replaces_all_records_and_keeps_older_commits(lives: Lives) -> None:
    before = keep(BOB, 1, web=b"old", gone=b"old")
    lives.store.write([before])

    lives.store.write([manifest(BOB, 5, web=b"new", db=b"new")])

    branch = only_branch(lives.restart())
    assert branch.head == head_of(BOB, 5)
    assert branch.commits == (before.commit,)
    assert branch.records == (Record(1, "db", b"new"), Record(1, "web", b"new"))


def test_a_mend_changes_what_differs_and_keeps_older_commits(lives: Lives) -> None:
    before = keep(BOB, 1, web=b"old", gone=b"old", same=b"same")
    lives.store.write([before])

    lives.store.write([mend(BOB, 5, web=b"new", gone=None)])

    branch = only_branch(lives.restart())
    assert branch.head == head_of(BOB, 5)
    assert branch.commits == (before.commit,)
    assert branch.records == (Record(1, "same", b"same"), Record(1, "web", b"new"))


def test_commits_of_the_losing_side_of_a_fork_are_gone(lives: Lives) -> None:
    root, theirs, ours = keep(BOB, 1), keep(BOB, 3, a=b"theirs"), keep(BOB, 2, a=b"ours")
    lives.store.write([root, theirs])

    lives.store.write([ours])

    branch = only_branch(lives.restart())
    assert branch.commits == (root.commit, ours.commit)
    assert branch.head == ours.commit.head


def test_reaped_owner_keeps_head_and_keys_only_and_may_return(lives: Lives) -> None:
    lives.store.write([chain(BOB), keep(BOB, 1, web=b"1"), reaped(BOB, 1)])
    keys = tuple(chain(BOB).chain.packed())

    assert only_branch(lives.restart()) == RestoredBranch(
        BOB, keys, head_of(BOB, 1), (), (), reaped=True
    )

    lives.store.write([manifest(BOB, 2, web=b"2")])

    branch = only_branch(lives.restart())
    assert (branch.reaped, branch.records) == (False, (Record(1, "web", b"2"),))


def test_key_events_and_head_may_come_in_either_order(lives: Lives) -> None:
    lives.store.write([chain(BOB)])
    assert only_branch(lives.store).head is None
    lives.store.write([keep(BOB, 1), keep(CAROL, 1), chain(CAROL), chain(BOB, rotations=2)])

    bob, carol = lives.restart().load().branches

    assert (bob.head, bob.key_events) == (
        head_of(BOB, 1),
        tuple(chain(BOB, rotations=2).chain.packed()),
    )
    assert (carol.head, carol.key_events) == (head_of(CAROL, 1), tuple(chain(CAROL).chain.packed()))


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_only_the_newest_commits_of_an_owner_are_kept(lives: Lives, at_once: int) -> None:
    keeps = [keep(BOB, version, web=b"%d" % version) for version in range(1, HEADERS_KEPT + 6)]
    for start in range(0, len(keeps), at_once):
        lives.store.write(keeps[start : start + at_once])

    versions = [commit.head.version for commit in only_branch(lives.restart()).commits]

    assert versions == list(range(6, HEADERS_KEPT + 6))


def test_of_our_own_commits_more_are_kept(lives: Lives) -> None:
    keeps = [keep(ALICE, version, web=b"%d" % version) for version in range(1, OWN_STEPS_KEPT + 6)]
    for one in keeps:
        lives.store.write([one])

    versions = [commit.head.version for commit in only_branch(lives.restart()).commits]

    assert versions == list(range(6, OWN_STEPS_KEPT + 6))


def test_writing_the_newest_again_changes_nothing(lives: Lives) -> None:
    keeps: list[Keep] = [
        chain(BOB),
        keep(BOB, 1, a=b"1"),
        manifest(BOB, 2, b=b"2"),
        keep(BOB, 3, b=None),
    ]
    lives.store.write(keeps, [result("u", version=3)])
    once = lives.store.load()

    lives.store.write(keeps, [result("u", version=3)])

    assert lives.restart().load() == once
    assert lives.store.find_result("u") == result("u", version=3)


def test_first_result_of_an_update_id_stands_over_restarts(lives: Lives) -> None:
    lives.store.write([keep(ALICE, 1)], [result("u", version=1)])
    lives.store.write([keep(ALICE, 2)], [result("u", version=2)])

    assert lives.restart().find_result("u") == result("u", version=1)
    assert lives.store.find_result("other") is None


def test_results_are_forgotten_after_a_day(lives: Lives) -> None:
    lives.store.write([], [result("old", at_us=0), result("kept", at_us=1)])

    lives.store.write([], [result("new", at_us=RESULTS_AGE_MAX_US + 1)])

    found = [lives.restart().find_result(update_id) for update_id in ("old", "kept", "new")]
    assert [one is not None for one in found] == [False, True, True]


def test_results_are_bounded_in_number(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (interface, memory, store):
        monkeypatch.setattr(module, "RESULTS_MAX", 10)
    for n in range(4):
        lives.store.write([], [result(f"u{4 * n + k}", at_us=n) for k in range(4)])

    kept = [n for n in range(16) if lives.store.find_result(f"u{n}")]

    assert kept == list(range(6, 16))
    assert lives.store.statistics().results == 10


def test_statistics_count_what_is_there(lives: Lives) -> None:
    lives.store.write([keep(BOB, 1, a=b"1", b=b"2"), keep(CAROL, 1)], [result("u")])
    lives.store.checkpoint()

    found = lives.store.statistics()

    assert (found.branches, found.records, found.commits, found.results) == (2, 2, 2, 1)


def test_closed_store_refuses_and_may_be_closed_again(lives: Lives) -> None:
    lives.store.close()
    lives.store.close()

    with pytest.raises(StorageClosedError):
        lives.store.write([keep(BOB, 1)])
    with pytest.raises(StorageClosedError):
        lives.store.checkpoint()


owners = st.sampled_from([ALICE, BOB])
versions = st.integers(1, 50)
bodies = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.binary(min_size=1, max_size=3))
changes = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.none() | st.binary(min_size=1, max_size=3)
)


def runs_of_commits(owner: NodeId, first: int, count: int) -> list[Keep]:
    return [keep(owner, first + n, run=b"%d" % n) for n in range(count)]


def test_evidence_comes_back_with_what_settled_it(lives: Lives) -> None:
    open_one, settled = fork(BOB, 1), fork(CAROL, 1, settled=True)
    lives.store.write([open_one, settled])

    loaded = lives.restart().load()

    assert loaded.evidence == tuple(sorted((open_one.case, settled.case), key=lambda c: c.id))
    assert loaded.branches == ()
    assert lives.store.statistics().evidence == 2


def test_two_key_events_of_one_sequence_come_back_too(lives: Lives) -> None:
    found = key_fork(BOB)
    lives.store.write([found, fork(BOB, 1)])

    loaded = lives.restart().load().evidence

    assert found.case in loaded
    assert len(loaded) == 2


def test_evidence_that_was_settled_later_replaces_itself(lives: Lives) -> None:
    lives.store.write([fork(BOB, 1)])

    lives.store.write([fork(BOB, 1, settled=True)])

    assert lives.restart().load().evidence == (fork(BOB, 1, settled=True).case,)


def test_evidence_that_made_room_is_gone(lives: Lives) -> None:
    old, new = fork(BOB, 1), fork(BOB, 2)
    lives.store.write([old, keep(BOB, 9)])

    lives.store.write([fork(BOB, 2, dropped=(old.case.id,))])

    assert lives.restart().load().evidence == (new.case,)
    assert only_branch(lives.store).head == head_of(BOB, 9)


def test_evidence_from_nobody_in_particular_comes_back_so(lives: Lives) -> None:
    case = replace(fork(BOB, 1).case, reported_by=None)
    lives.store.write([KeepEvidence(case)])

    assert lives.restart().load().evidence == (case,)


def keep_of(owner: NodeId, version: int, changed: dict[str, bytes | None]) -> Keep:
    return keep(owner, version, **changed)


def manifest_of(owner: NodeId, version: int, state: dict[str, bytes]) -> Keep:
    return manifest(owner, version, **state)


def mend_of(owner: NodeId, version: int, changed: dict[str, bytes | None]) -> Keep:
    return mend(owner, version, **changed)


def steps_of(owner: NodeId, first: int, count: int, priority: Priority) -> list[Keep]:
    return [*steps(owner, first, count, priority=priority)]


some_keeps = st.one_of(
    st.builds(steps_of, owners, versions, st.integers(1, 20), st.sampled_from(Priority)),
    st.builds(Dot, st.just(0), versions).map(lambda dot: [TrimOutbox(dot)]),
    st.builds(delivery, owners, versions).map(lambda one: [one]),
    owners.map(lambda owner: [DropDelivery(owner)]),
    st.builds(mend_of, owners, versions, changes).map(lambda one: [one]),
    st.builds(keep_of, owners, versions, changes).map(lambda one: [one]),
    st.builds(manifest_of, owners, versions, bodies).map(lambda one: [one]),
    st.builds(reaped, owners, versions).map(lambda one: [one]),
    owners.map(lambda owner: [chain(owner)]),
    st.builds(fork, owners, versions, settled=st.booleans()).map(lambda one: [one]),
    owners.map(lambda owner: [key_fork(owner)]),
    st.builds(runs_of_commits, owners, versions, st.integers(30, 40)),
)


@settings(max_examples=120, deadline=None)
@given(writes=st.lists(st.lists(some_keeps, max_size=4), max_size=5))
def test_any_sequence_of_keeps_comes_to_the_same_on_disk_as_in_memory(
    writes: list[list[list[Keep]]],
) -> None:
    with TemporaryDirectory() as folder:
        on_disk, in_memory = open_alice(Path(folder) / "kith.db"), MemoryStore(ALICE)
        for groups in writes:
            keeps = [one for group in groups for one in group]
            on_disk.write(keeps)
            in_memory.write(keeps)

            assert on_disk.load() == in_memory.load()
            assert on_disk.recall(Dot(0, 10), 7, 3_000) == in_memory.recall(Dot(0, 10), 7, 3_000)
            assert (
                replace(on_disk.statistics(), file_bytes=0, wal_bytes=0) == in_memory.statistics()
            )
        on_disk.close()


def test_a_mark_that_it_must_hear_of_itself_stays_until_it_is_taken_off(lives: Lives) -> None:
    assert lives.store.load().must_hear == ""
    lives.store.mark("restored")
    lives.store.mark("restored from a backup of yesterday")
    assert lives.restart().load().must_hear == "restored from a backup of yesterday"

    lives.store.mark("")
    assert lives.restart().load().must_hear == ""
    lives.store.mark("")
