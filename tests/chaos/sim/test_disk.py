"""What a node finds on its disk: all of it, what was flushed, or what was there some time ago."""

from chaos.sim.disk import Disk
from chaos.sim.identities import Identities
from chaos.sim.world import CLUSTER
from protocol.branch import Branch
from protocol.commits import NOTHING, Change, Dot, Draft, Manifest, make_commit
from protocol.effects import DropRecords, KeepChain, KeepCommit, KeepManifest
from protocol.limits import OWN_STEPS_KEPT
from protocol.signing import Trust

SIGNER, CHAIN = Identities(CLUSTER).of(0)


def commits(count: int) -> list[KeepCommit]:
    """So many commits that follow each other; each adds a guest to the state."""
    branch = Branch(CHAIN, Trust(CLUSTER))
    made = []
    for number in range(1, count + 1):
        changes = (Change(1, f"web/web-{number}", b"%d" % number),)
        draft = Draft(
            owner=CHAIN.node,
            dot=Dot(0, number),
            parents=(branch.head.hash,) if branch.head else (),
            issued_at=number,
            state_root=branch.preview(changes),
        )
        commit = make_commit(draft, changes, key=SIGNER, cluster=CLUSTER)
        branch.head = commit.head
        made.append(KeepCommit(commit, changes))
    return made


def written(count: int, *, every_s: float = 1.0) -> Disk:
    disk = Disk()
    disk.append(KeepChain(CHAIN), 0.0)
    for place, keep in enumerate(commits(count), start=1):
        disk.append(keep, place * every_s)
    return disk


def versions(disk: Disk) -> list[int]:
    (branch,) = disk.load()
    return [commit.head.version for commit in branch.commits]


def keys(disk: Disk) -> list[str]:
    (branch,) = disk.load()
    return sorted(record.key for record in branch.records)


def test_a_start_finds_the_chain_the_head_the_steps_and_the_records() -> None:
    disk = written(3)

    (branch,) = disk.load()

    assert branch.owner == CHAIN.node
    assert branch.head is not None
    assert branch.head.version == 3
    assert versions(disk) == [1, 2, 3]
    assert keys(disk) == ["web/web-1", "web/web-2", "web/web-3"]


def test_a_removal_leaves_no_record() -> None:
    disk = written(2)
    last = commits(3)[-1]
    disk.append(KeepCommit(last.commit, (Change(1, "web/web-1", None),)), 3.0)

    assert keys(disk) == ["web/web-2"]


def test_a_power_cut_loses_what_was_not_flushed_and_nothing_else() -> None:
    disk = written(3)
    disk.flush(3)  # the chain and two commits

    disk.lose_unflushed()

    assert versions(disk) == [1, 2]


def test_flushing_everything_keeps_everything_and_a_late_flush_of_less_undoes_nothing() -> None:
    disk = written(3)
    disk.flush()
    disk.flush(1)

    disk.lose_unflushed()

    assert versions(disk) == [1, 2, 3]


def test_an_old_copy_is_the_disk_as_it_was_then_with_the_incarnation_of_then() -> None:
    disk = Disk()
    assert disk.begin_life(100, 0.0) == 100
    disk.append(KeepChain(CHAIN), 0.0)
    for place, keep in enumerate(commits(3), start=1):
        disk.append(keep, float(place))
    assert disk.begin_life(50, 2.5) == 101

    disk.put_back(2.0)

    assert versions(disk) == [1, 2]
    assert disk.begin_life(50, 4.0) == 101


def test_a_wiped_disk_is_empty() -> None:
    disk = written(2)
    disk.begin_life(100, 0.0)

    disk.wipe()

    assert disk.load() == ()
    assert disk.begin_life(7, 1.0) == 7


def test_an_incarnation_rises_with_every_life_whatever_the_wall_clock_says() -> None:
    disk = Disk()

    assert [disk.begin_life(wall, 0.0) for wall in (100, 100, 30, 500)] == [100, 101, 102, 500]


def test_a_manifest_takes_the_place_of_all_steps() -> None:
    disk = written(2)
    last = commits(3)[-1].commit.head
    disk.append(KeepManifest(Manifest(last, ())), 3.0)

    (branch,) = disk.load()

    assert (branch.head, branch.commits, branch.records) == (last, (), ())


def test_of_a_reaped_owner_only_the_head_is_left() -> None:
    disk = written(2)
    head = commits(2)[-1].commit.head
    disk.append(DropRecords(head), 3.0)

    (branch,) = disk.load()

    assert (branch.head, branch.records, branch.reaped) == (head, (), True)


def test_only_the_last_steps_are_kept() -> None:
    disk = written(OWN_STEPS_KEPT + 8)

    assert versions(disk) == list(range(9, OWN_STEPS_KEPT + 9))


def test_two_disks_may_begin_with_the_same_branches() -> None:
    base = written(2).load()
    one, other = Disk(base), Disk(base)
    one.append(commits(3)[-1], 1.0)

    assert versions(one) == [1, 2, 3]
    assert versions(other) == [1, 2]
    assert base[0].commits[0].head.dot > NOTHING
