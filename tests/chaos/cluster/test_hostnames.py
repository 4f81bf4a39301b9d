"""The name server of a cluster: what nodes learn from it, the truth or not, and nothing else."""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.cluster.cluster import Ability, Cluster, ClusterError, Member
from chaos.cluster.commands import run
from chaos.cluster.hostnames import host_name
from chaos.cluster.hostnames.messages import MESSAGE_BYTES_MAX, answer_to, read_question
from chaos.cluster.kinds import make_cluster, running

from .situations import PATIENCE_S, TWO, answers, expect_within, open_cluster

A, AAAA = 1, 28
QUICK = {"RES_OPTIONS": "timeout:1 attempts:1"}
LOOK_UP = """
import socket, sys
try:
    found = socket.getaddrinfo(sys.argv[1], 0, type=socket.SOCK_DGRAM)
    print(" ".join(sorted(address[0] for *_, address in found)))
except socket.gaierror as error:
    print(socket.EAI_AGAIN == error.errno and "again" or "unknown")
"""


def asked(name: str, kind: int = A, *, number: int = 7) -> bytes:
    labels = b"".join(bytes([len(word)]) + word.encode() for word in name.split("."))
    return (
        struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0)
        + labels
        + struct.pack(">BHH", 0, kind, 1)
    )


def test_an_address_is_answered_as_the_standard_has_it() -> None:
    question = read_question(asked("A.kith.test"))

    assert question is not None
    assert (question.name, question.kind) == ("a.kith.test", A)
    answer = answer_to(question, "10.77.0.1")
    number, flags, *counts = struct.unpack_from(">HHHHHH", answer)
    assert (number, flags, counts) == (7, 0x8180, [1, 1, 0, 0])
    assert answer.endswith(socket.inet_aton("10.77.0.1"))


def test_a_name_without_a_record_of_a_kind_is_no_name_that_is_not_there() -> None:
    known, unknown = (read_question(asked("a.kith.test", kind)) for kind in (AAAA, A))
    assert known is not None
    assert unknown is not None

    has_none = struct.unpack_from(">HHHHHH", answer_to(known, "10.77.0.1"))
    is_none = struct.unpack_from(">HHHHHH", answer_to(unknown, ""))

    assert (has_none[1] & 0xF, has_none[3]) == (0, 0)
    assert (is_none[1] & 0xF, is_none[3]) == (3, 0)


@given(st.binary(max_size=MESSAGE_BYTES_MAX + 1))
def test_no_bytes_from_the_network_make_it_raise(message: bytes) -> None:
    question = read_question(message)
    assert question is None or len(answer_to(question, "10.0.0.1")) > len(question.raw)


@given(st.integers(0, 40), st.integers(0, 255))
def test_a_question_with_a_changed_byte_is_read_or_refused(place: int, value: int) -> None:
    message = bytearray(asked("a.kith.test"))
    message[place % len(message)] = value
    question = read_question(bytes(message))
    assert question is None or answer_to(question, "")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("names")
    with open_cluster("namespaces", directory, TWO, Ability.NAMES) as cluster:
        yield cluster


def looked_up(member: Member, name: str) -> str:
    """What a program finds that sees the world as this node does."""
    words = ["nsenter", "--mount", "--net", "--target", str(member.pid)]
    return run([*words, sys.executable, "-c", LOOK_UP, name], env={**os.environ, **QUICK}).strip()


@pytest.mark.slow
def test_nodes_find_each_other_by_names_and_nobody_else(two: Cluster) -> None:
    a, b = two.members

    assert looked_up(a, host_name("b")) == b.address
    assert looked_up(a, host_name("A")) == a.address
    assert looked_up(a, "localhost") != "unknown"
    assert looked_up(a, host_name("c")) == "unknown"
    assert looked_up(a, "kith.example") == "unknown"
    assert b"b.kith.test:" in Path(f"/proc/{a.pid}/cmdline").read_bytes()
    assert "kith.test" not in Path("/etc/resolv.conf").read_text()


@pytest.mark.slow
def test_one_node_is_lied_to_about_one_name_and_the_others_are_not(two: Cluster) -> None:
    a, b = two.members
    a.bend_names({})

    assert a.bend_names({"b": "10.77.0.253"}) == 0
    assert [looked_up(one, host_name("b")) for one in (a, b)] == ["10.77.0.253", b.address]
    assert looked_up(a, host_name("a")) == a.address
    assert a.bend_names({"b": ""}) >= 1
    assert looked_up(a, host_name("b")) == "unknown"
    a.bend_names({"*": None, "b": b.address})
    assert looked_up(a, host_name("a")) == "again"
    assert looked_up(a, "kith.example") == "again"
    assert looked_up(a, host_name("b")) == b.address

    assert a.bend_names({}) >= 1
    assert looked_up(a, host_name("a")) == a.address


@pytest.mark.slow
def test_a_node_that_starts_again_sees_the_same_name_server(two: Cluster) -> None:
    _, b = two.members
    b.kill()
    b.start()
    expect_within(PATIENCE_S, lambda: answers(b), "ready")

    assert looked_up(b, host_name("a")) == two.members[0].address


@pytest.mark.parametrize("kind", ["processes", "attach"])
def test_where_there_is_no_name_server_of_ours_it_is_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITH_CHAOS_ATTACH", "a=http://127.0.0.1:1,b=http://127.0.0.1:2")
    plan = replace(TWO, needs=frozenset({Ability.NAMES}))
    cluster = make_cluster(kind, plan, tmp_path / "run")

    with pytest.raises(ClusterError, match=r"cannot do names here: .*--cluster"), running(cluster):
        pytest.fail("it started")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_names_that_were_not_prepared_are_refused(tmp_path: Path) -> None:
    said = "nothing was prepared for names"
    with (
        open_cluster("processes", tmp_path, TWO) as cluster,
        pytest.raises(ClusterError, match=said),
    ):
        cluster.members[0].bend_names({"b": ""})
