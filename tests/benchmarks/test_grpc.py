"""What etcd is sent over gRPC, and what the program tells that sends it."""

import pytest

from benchmarks.cluster.fleet import BenchError
from benchmarks.grpc import message, per_s_of

TOLD = (
    "finished in 3.00s, 2030.33 req/s, 1.71MB/s\n"
    "requests: 6091 total, 6107 started, 6091 done, 6091 succeeded, {} failed, 0 errored\n"
)


def test_a_message_is_a_frame_with_what_is_sent_as_its_fields() -> None:
    assert message(b"abc") == b"\x00\x00\x00\x00\x05\x0a\x03abc"
    assert message(b"k", b"v" * 300) == (
        b"\x00\x00\x00\x01\x32" + b"\x0a\x01k" + b"\x12\xac\x02" + b"v" * 300
    )


def test_what_h2load_tells_is_read_and_failures_are_not_passed_over() -> None:
    assert per_s_of(TOLD.format(0)) == 2030.33
    for told in (TOLD.format(1), TOLD.replace("0 failed", "10 failed"), "", "finished in vain"):
        with pytest.raises(BenchError):
            per_s_of(told)
