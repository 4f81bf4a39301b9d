"""The model of a disk that forgets: what is sure, and what may be."""

from pathlib import PurePosixPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.durability.cuts import CUTS
from chaos.durability.strace import TraceError

from .situations import Program, kept, lost


def test_what_was_synced_is_sure_and_what_came_after_is_not() -> None:
    program = Program()
    program.file("/t/a", b"one")

    program.write(b"two")

    assert lost(program.disk) == {"a": b"one"}
    assert kept(program.disk) == {"a": b"two"}


def test_a_new_file_is_sure_only_with_its_directory() -> None:
    program = Program()
    program.open("/t/a")
    program.write(b"one")
    program.sync()
    assert lost(program.disk) == {}

    program.sync_directory()
    assert lost(program.disk) == {"a": b"one"}


def test_a_new_directory_is_sure_only_with_the_one_above() -> None:
    program = Program()
    program.call("mkdir", b"/t/d", "0700")
    program.open("/t/d/a")
    program.sync()
    program.sync_directory("/t/d")
    assert lost(program.disk) == {}

    program.sync_directory("/t")
    assert lost(program.disk) == {"d": None, "d/a": b""}


def test_a_rename_and_a_removal_are_sure_only_with_the_directory() -> None:
    program = Program()
    program.file("/t/old", b"new content")
    program.file("/t/gone", b"")
    program.call("rename", b"/t/old", b"/t/name")
    program.call("unlink", b"/t/gone")
    assert lost(program.disk) == {"old": b"new content", "gone": b""}

    program.sync_directory()
    assert lost(program.disk) == {"name": b"new content"}


def test_a_file_that_was_made_shorter_may_be_long_again() -> None:
    program = Program()
    program.file("/t/a", b"long")
    program.call("ftruncate", "5", "1")
    assert (lost(program.disk), kept(program.disk)) == ({"a": b"long"}, {"a": b"l"})


def test_a_sync_covers_only_what_was_written_before_it_began() -> None:
    program = Program()
    program.file("/t/a", b"one")
    program.call("pwrite64", "5", b"two", "3", "0", result=3, lasts=5)  # ends in the sync

    program.sync()

    assert lost(program.disk) == {"a": b"one"}


def test_files_elsewhere_are_of_no_interest() -> None:
    program = Program()
    program.open("/etc/passwd", "O_RDONLY", fd=5)
    program.write(b"x")
    program.call("rename", b"/var/a", b"/var/b")
    assert kept(program.disk) == {}


def test_what_a_process_had_open_is_not_open_to_the_next() -> None:
    program = Program()
    program.file("/t/a", b"one")
    program.call("exit_group")

    program.write(b"to a socket of that number")

    assert kept(program.disk) == {"a": b"one"}


def test_what_is_not_modelled_is_an_error() -> None:
    program = Program()
    program.open("/t/a")
    with pytest.raises(TraceError, match="fallocate"):
        program.call("fallocate", "5", "0", "0", "100")
    with pytest.raises(TraceError, match="link"):
        program.call("link", b"/t/a", b"/t/b")
    with pytest.raises(TraceError, match="mapped"):
        program.call("mmap", "NULL", "4096", "PROT_READ|PROT_WRITE", "MAP_SHARED", "5", "0")
    program.open("/t/a-shm", fd=6)
    program.call("mmap", "NULL", "4096", "PROT_READ|PROT_WRITE", "MAP_SHARED", "6", "0")


WRITES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 2_000)), max_size=6)


@given(before=WRITES, after=WRITES, seed=st.integers(0, 99), name=st.sampled_from(sorted(CUTS)))
def test_every_cut_leaves_each_byte_as_it_was_or_as_it_was_written(
    before: list[tuple[int, int]], after: list[tuple[int, int]], seed: int, name: str
) -> None:
    program = Program()
    program.file("/t/a", b"")
    for number, (offset, size) in enumerate(before):
        program.write(bytes([1 + number]) * size, offset)
    program.sync()
    sure = lost(program.disk)["a"] or b""
    for number, (offset, size) in enumerate(after):
        program.write(bytes([101 + number]) * size, offset)

    cut = CUTS[name](program.disk.pending, Random(seed))
    found = program.disk.after(cut)[PurePosixPath("a")] or b""

    assert len(sure) <= len(found) <= len(kept(program.disk)["a"] or b"")
    for place, byte in enumerate(found):
        written = [
            101 + number
            for number, (offset, size) in enumerate(after)
            if offset <= place < offset + size
        ]
        assert byte in [sure[place] if place < len(sure) else 0, *written]
