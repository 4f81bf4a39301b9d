"""What strace writes is read whole, in the order of the ends."""

import pytest

from chaos.durability.strace import Call, TraceError, ended, read


def test_a_call_stands_where_it_ended_with_all_its_bytes() -> None:
    calls = list(read([
        r'10    pwrite64(7, "\x01\xff", 2, 4096) = 2',
        "11    fsync(8 <unfinished ...>",
        r'10    sendto(9, "\x48\x54", 2, MSG_NOSIGNAL, NULL, 0) = 2',
        "11    <... fsync resumed>)              = 0",
        "10    +++ exited with 0 +++",
    ]))  # fmt: skip

    assert calls == [
        Call("pwrite64", ("7", b"\x01\xff", "2", "4096"), 2, 0, 0),
        Call("sendto", ("9", b"HT", "2", "MSG_NOSIGNAL", "NULL", "0"), 2, 2, 2),
        Call("fsync", ("8",), 0, 1, 3),
    ]


def test_of_arrays_and_structures_the_strings_are_kept() -> None:
    (call,) = read(
        [r'7 writev(3, [{iov_base="\x61", iov_len=1}, {iov_base="\x62\x63", iov_len=2}], 2) = 3']
    )

    assert call.data(1) == b"abc"
    assert call.number(2) == 2


def test_a_failed_call_keeps_its_error_and_one_cut_by_the_end_is_left_out() -> None:
    calls = list(read([
        "7 sendto(3, \"\\x61\", 1, 0, NULL, 0) = -1 EAGAIN (Resource temporarily unavailable)",
        "7 fsync(3)                                = ?",
        "8 fsync(3 <unfinished ...>",
        "8 +++ killed by SIGKILL +++",
    ]))  # fmt: skip

    assert [(call.name, call.result) for call in calls] == [("sendto", -1)]
    assert ended("8 +++ killed by SIGKILL +++")


@pytest.mark.parametrize(
    "line",
    [
        '7 write(3, "\\x61"..., 1000) = 1000',
        "7 <... fsync resumed>) = 0",
        "7 nonsense",
    ],
)
def test_what_cannot_be_read_whole_is_an_error(line: str) -> None:
    with pytest.raises(TraceError):
        list(read([line]))
