"""No version is used twice: what is reserved beside the database outlives it."""

from pathlib import Path

import pytest

from protocol.commits import NOTHING, Dot
from storage import (
    DatabaseDamagedError,
    DatabaseUnreachableError,
    Reserve,
    Reserved,
    SqliteStore,
    open_store,
    set_aside,
)
from storage.reserve import AHEAD_US

from .situations import ALICE, BOB, CLUSTER, keep, open_alice


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kith.db"


def reserved(path: Path) -> Reserved | None:
    return Reserve(path).known


def made_anew(path: Path) -> SqliteStore:
    return open_store(path, cluster=CLUSTER, node=ALICE, anew=True)


def test_the_first_own_commit_reserves_an_hour_and_the_next_cost_nothing(path: Path) -> None:
    store = open_alice(path)
    store.write([keep(ALICE, 1_000, web=b"1")])
    first = (path.parent / Reserve.NAME).stat().st_ino

    store.write([keep(ALICE, 1_000 + AHEAD_US, web=b"2")])

    assert reserved(path) == Reserved(1_000 + AHEAD_US, 0)
    assert (path.parent / Reserve.NAME).stat().st_ino == first
    store.write([keep(ALICE, 1_001 + AHEAD_US, web=b"3")])
    assert reserved(path) == Reserved(1_001 + 2 * AHEAD_US, 0)
    store.close()


def test_what_peers_own_reserves_nothing(path: Path) -> None:
    store = open_alice(path)
    store.write([keep(BOB, 1_000, web=b"1")])
    store.close()

    assert reserved(path) is None


def test_a_commit_that_cannot_be_reserved_is_not_written(path: Path) -> None:
    store = open_alice(path)
    (path.parent / f"{Reserve.NAME}.new").mkdir()

    with pytest.raises(DatabaseUnreachableError):
        store.write([keep(ALICE, 1_000, web=b"1")])

    assert store.load().branches == ()
    store.close()


def test_a_database_made_anew_goes_on_above_all_that_was_reserved(path: Path) -> None:
    store = open_alice(path)
    life = store.begin_life(at_least=7_000)
    store.write([keep(ALICE, 1_000, web=b"1")])
    store.close()
    aside = set_aside(path, stamp="then")

    store = made_anew(path)

    assert aside.exists()
    assert store.load().last_dot == Dot(0, 1_000 + AHEAD_US)
    assert not store.load().forgotten
    assert store.begin_life() == life + 1
    store.close()


def test_a_database_that_is_missing_or_empty_after_use_is_damage(path: Path) -> None:
    store = open_alice(path)
    store.write([keep(ALICE, 1_000, web=b"1")])
    store.close()

    path.write_bytes(b"")
    with pytest.raises(DatabaseDamagedError, match="--rebuild"):
        open_alice(path)
    path.unlink()
    with pytest.raises(DatabaseDamagedError, match="missing or empty"):
        open_alice(path)
    assert not path.exists()


def test_with_both_lost_nothing_says_which_versions_were_signed_over_any_starts(path: Path) -> None:
    for _ in range(2):
        store = open_alice(path)
        assert (store.load().last_dot, store.load().forgotten) == (NOTHING, True)
        store.begin_life()
        store.close()


def test_an_identity_that_is_about_to_be_made_has_signed_nothing(path: Path) -> None:
    Reserve(path).begin()

    store = open_alice(path)

    assert (store.load().last_dot, store.load().forgotten) == (NOTHING, False)
    store.close()


def test_a_lost_file_is_made_again_from_a_whole_database(path: Path) -> None:
    store = open_alice(path)
    store.write([keep(ALICE, 1_000, web=b"1")])
    store.close()
    (path.parent / Reserve.NAME).unlink()

    store = open_alice(path)
    assert store.load().last_dot == Dot(0, 1_000)
    store.begin_life(at_least=5)
    assert reserved(path) == Reserved(None, 5)
    store.write([keep(ALICE, 1_001, web=b"2")])
    store.close()

    assert reserved(path) == Reserved(1_001 + AHEAD_US, 5)


def test_a_file_with_any_bit_flipped_or_cut_anywhere_counts_as_lost(path: Path) -> None:
    reserve = Reserve(path)
    reserve.cover(version=1_750_000_000_000_000, incarnation=1_750_000_000)
    file = path.parent / Reserve.NAME
    whole = file.read_bytes()

    for place in range(len(whole) - 1):  # without the line's end it says the same
        for bit in range(8):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert reserved(path) is None, (place, bit)
        file.write_bytes(whole[:place])
        assert reserved(path) is None, place


def test_what_is_reserved_never_goes_down(path: Path) -> None:
    reserve = Reserve(path)
    reserve.cover(version=1_000, incarnation=9)
    reserve.cover(version=5, incarnation=3)
    reserve.begin()

    assert reserved(path) == Reserved(1_000 + AHEAD_US, 9)


def test_who_is_told_that_nobody_is_left_goes_on_from_the_clock(path: Path) -> None:
    store = open_alice(path)
    store.begin_life(at_least=5)
    store.close()
    assert reserved(path) == Reserved(None, 5)

    Reserve(path).begin()

    assert reserved(path) == Reserved(0, 5)
    store = open_alice(path)
    assert not store.load().forgotten
    store.close()
