"""A damaged disk at a start: refused or made anew, and never served; whatever the damage."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from node import keystore
from node.durability import DATABASE
from node.durability.opening import Ground, promise, take_up
from protocol.bodies import Body
from protocol.commits import RecordKey
from protocol.errors import RemoteProtocolError
from protocol.identity import NodeId
from protocol.registry import Registry
from protocol.signing import Trust
from storage import CannotOpenError, DatabaseDamagedError, Reserve, Result, open_store

from .directories import CLUSTER, fill

ROOT = Path(__file__).parents[3]
FLIPS = 400
CUTS = 60
SALTS = slice(16, 24)


@dataclass
class Served:
    """What a node shows that took up this disk."""

    branches: dict[NodeId, dict[RecordKey, Body]]
    dropped: list[NodeId]
    results: list[Result]


def start(directory: Path, *, rebuild: bool = False) -> Ground:
    identity = keystore.load_or_create(directory, CLUSTER, None)
    return take_up(directory, identity, CLUSTER, rebuild=rebuild, unsafe_no_sync=False)


def served(directory: Path) -> Served:
    """As `Peer` restores: what does not verify is dropped, and fetched anew."""
    ground = start(directory)
    registry, dropped = Registry(Trust(CLUSTER)), []
    for stored in ground.loaded.branches:
        try:
            registry.restore(stored)
        except RemoteProtocolError:
            dropped.append(stored.owner)
    branches = {}
    for owner in registry.owners():
        branch = registry.branch(owner)
        if branch is not None and owner not in dropped:
            branches[owner] = dict(branch.bodies)
    found = Served(branches, dropped, ground.store.results())
    ground.store.close()
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    promise(tmp_path)
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Of a node that died: all lies in the -wal."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from tests.node.durability import directories as d\n"
        "d.SqliteStore.close = lambda _: os._exit(9)\n"
        "d.fill(Path(sys.argv[1]))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, cwd=ROOT)
    assert (tmp_path / f"{DATABASE}-wal").stat().st_size > 0
    return tmp_path


def expect_never_wrong(
    directory: Path, whole: Served, damages: list[Callable[[bytes], bytes]], file: str = DATABASE
) -> tuple[int, int]:
    """Try each damage; how many were refused, and how many branches of peers were dropped."""
    before = {path: path.read_bytes() for path in directory.iterdir()}
    refused = dropped = 0
    for number, damage in enumerate(damages):
        for path in directory.iterdir():
            path.unlink()
        for path, content in before.items():
            path.write_bytes(damage(content) if path.name == file else content)
            path.chmod(0o600)
        try:
            found = served(directory)
        except CannotOpenError:
            refused += 1
            continue
        dropped += len(found.dropped)
        for owner in whole.branches:
            if owner not in found.dropped:
                assert found.branches[owner] == whole.branches[owner], number
        assert found.results == whole.results, number
    return refused, dropped


def flips(size: int, count: int) -> list[Callable[[bytes], bytes]]:
    rng = Random(count)
    return [flip(rng.randrange(size), 1 << rng.randrange(8)) for _ in range(count)]


def flip(place: int, bit: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


def cut(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:size]


def test_no_flipped_bit_in_the_database_is_ever_served(directory: Path) -> None:
    whole, size = served(directory), (directory / DATABASE).stat().st_size

    refused, dropped = expect_never_wrong(directory, whole, flips(size, FLIPS))

    assert refused > FLIPS // 20
    assert dropped > 0


def test_no_database_cut_short_is_ever_served(directory: Path) -> None:
    whole, size = served(directory), (directory / DATABASE).stat().st_size
    cuts = [cut(size * n // CUTS) for n in range(CUTS)]

    refused, _ = expect_never_wrong(directory, whole, cuts)

    assert refused == CUTS


def test_a_wal_damaged_in_its_middle_is_refused(crashed: Path) -> None:
    """SQLite itself would take what comes before, and drop the rest without a word."""
    wal = crashed / f"{DATABASE}-wal"
    whole = wal.read_bytes()
    rng, refused = Random(5), 0
    places = [3, 9, 14, 17, 26, *(rng.randrange(32, len(whole) // 2) for _ in range(40))]
    for place in places:
        wal.write_bytes(flip(place, 1 << rng.randrange(8))(whole))
        with pytest.raises(DatabaseDamagedError, match="-wal is damaged"):
            start(crashed)
        refused += 1
        assert wal.exists()
    assert refused == len(places)


def test_a_wal_that_a_crash_tore_in_its_last_transaction_is_taken_without_it(crashed: Path) -> None:
    """That one was not synced yet, so it was not acknowledged."""
    wal = crashed / f"{DATABASE}-wal"
    whole = wal.read_bytes()
    wal.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    found = served(crashed)

    assert (len(found.branches), found.dropped, found.results) == (2, [], [])


def test_frames_of_an_earlier_round_behind_the_newest_are_no_damage(crashed: Path) -> None:
    """A -wal is begun anew in place: older frames, with other salts, stay behind."""
    wal = crashed / f"{DATABASE}-wal"
    whole = wal.read_bytes()
    frame = 24 + int.from_bytes(whole[8:12], "big")
    older = bytearray(whole[32:])
    for start_ in range(0, len(older), frame):
        older[start_ + 8 : start_ + 16] = bytes(8)
    wal.write_bytes(whole + bytes(older))

    assert len(served(crashed).results) == 5


def test_a_wal_cut_short_anywhere_is_an_older_state_or_refused(crashed: Path) -> None:
    wal = crashed / f"{DATABASE}-wal"
    kept = {path.name: path.read_bytes() for path in crashed.iterdir()}
    sizes = range(0, len(kept[wal.name]), len(kept[wal.name]) // 20)
    counts = []
    for size in sizes:
        for name, content in kept.items():
            (crashed / name).write_bytes(content[:size] if name == wal.name else content)
        try:
            found = served(crashed)
        except CannotOpenError:
            continue
        assert found.dropped == []
        counts.append(sum(map(len, found.branches.values())))
    assert counts == sorted(counts)


def change(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / DATABASE) as connection:
        connection.execute(statement)
        connection.commit()
    connection.close()


SPOIL_OURS = "UPDATE records SET body = zeroblob(9) WHERE key = 'web/web-1'"


def test_a_branch_of_ours_that_does_not_verify_is_refused_and_a_peers_is_not(
    directory: Path,
) -> None:
    change(directory, "UPDATE records SET body = zeroblob(9) WHERE key = 'db/db-1'")
    assert len(served(directory).dropped) == 1

    change(directory, SPOIL_OURS)
    with pytest.raises(DatabaseDamagedError, match="our own branch does not verify"):
        start(directory)


@pytest.mark.parametrize("damage", ["page", "row", "branch", "empty", "missing"])
def test_what_is_damaged_is_made_anew_when_asked_for_and_moved_aside(
    directory: Path, damage: str
) -> None:
    path = directory / DATABASE
    match damage:
        case "page":
            path.write_bytes(path.read_bytes()[:-4096])
        case "row":
            change(directory, "UPDATE branches SET head = x'00'")
        case "branch":
            change(directory, SPOIL_OURS)
        case "empty":
            path.write_bytes(b"")
        case _:
            path.unlink()
    spoilt = path.read_bytes() if path.exists() else None
    versions = Reserve(path).known
    assert versions is not None

    with pytest.raises(DatabaseDamagedError, match="--rebuild"):
        start(directory)
    ground = start(directory, rebuild=True)
    ground.store.close()

    assert ground.aside is not None
    assert (ground.aside.read_bytes() if ground.aside.exists() else None) == spoilt
    assert ground.aside.name.startswith(f"{DATABASE}.damaged-")
    assert (ground.loaded.branches, ground.branch_lost) == ((), True)
    assert ground.loaded.last_dot.version == versions.version
    assert ground.loaded.must_hear == ""


def test_a_whole_database_is_left_alone_also_where_rebuilding_is_allowed(directory: Path) -> None:
    ground = start(directory, rebuild=True)
    ground.store.close()

    assert (ground.aside, ground.branch_lost, len(ground.loaded.branches)) == (None, False, 2)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("PRAGMA user_version = 1000", "DatabaseTooNewError"),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'cluster'", "WrongClusterError"),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'node'", "WrongNodeError"),
    ],
)
def test_what_is_not_ours_is_refused_also_where_rebuilding_is_allowed(
    directory: Path, statement: str, kind: str
) -> None:
    change(directory, statement)
    before = sorted(directory.iterdir())

    with pytest.raises(CannotOpenError) as refused:
        start(directory, rebuild=True)

    assert type(refused.value).__name__ == kind
    assert sorted(directory.iterdir()) == before


def test_with_the_versions_lost_too_a_peer_has_to_be_heard_over_any_restarts(
    directory: Path,
) -> None:
    (directory / DATABASE).write_bytes(b"rubbish")
    (directory / Reserve.NAME).unlink()

    for rebuild in (True, False, False):
        ground = start(directory, rebuild=rebuild)
        ground.store.begin_life()
        ground.store.close()
        assert "both" in ground.loaded.must_hear
        assert not ground.branch_lost


def test_a_node_that_never_came_to_sign_starts_as_a_new_one(tmp_path: Path) -> None:
    promise(tmp_path)
    keystore.load_or_create(tmp_path, CLUSTER, None)

    for _ in range(2):  # the second, as after a crash before the first commit
        ground = start(tmp_path)
        ground.store.begin_life()
        ground.store.close()
        assert (ground.loaded.must_hear, ground.branch_lost) == ("", False)


def test_damage_that_is_met_in_use_is_fatal(directory: Path) -> None:
    identity = keystore.load_or_create(directory, CLUSTER, None)
    store = open_store(directory / DATABASE, cluster=CLUSTER, node=identity.node)
    path = directory / DATABASE
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(Random(1).randbytes(path.stat().st_size - 4096))
    store._database._connection.exec_driver_sql("PRAGMA shrink_memory").close()
    store._database._connection.rollback()

    with pytest.raises(DatabaseDamagedError) as met:
        store.results()

    assert met.value.fatal
    store.close()
