"""`kith clock` and `kith log`."""

import json

import pytest

from protocol.identity import NodeId, id_text

from .conftest import Type
from .fake_node import Answer, Document, FakeNode, running

A, B, C = (id_text(NodeId(bytes([n]) * 32)) for n in (1, 2, 3))


def clock(fake: FakeNode, **versions: int) -> None:
    owners = {"a": A, "b": B, "c": C}
    vector = {owners[name]: {"epoch": 0, "version": one} for name, one in versions.items()}
    fake.answers["GET", "/v1/clock"] = Answer(200, {"clock": vector, "now": "2026-01-02T03:04:05Z"})


def test_a_clock_alone_is_a_table(kith: Type, fake: FakeNode) -> None:
    clock(fake, a=7)

    typed = kith("clock", "--api", fake.url)

    assert typed.code == 0
    assert typed.out.splitlines()[-1].split() == [A, "0", "7"]


@pytest.mark.parametrize(
    ("theirs", "order", "code"),
    [
        ({"a": 7, "b": 3}, "equal", 0),
        ({"a": 7, "b": 4}, "before", 1),
        ({"a": 7}, "after", 1),
        ({"a": 8, "b": 2}, "concurrent", 1),
        ({"a": 7, "b": 2, "c": 1}, "concurrent", 1),
    ],
)
def test_two_clocks_are_compared(
    kith: Type, fake: FakeNode, theirs: dict[str, int], order: str, code: int
) -> None:
    clock(fake, a=7, b=3)
    with running() as other:
        clock(other, **theirs)
        typed = kith("clock", "--against", other.url, "--api", fake.url)
        document = json.loads(
            kith("clock", "--against", other.url, "--json", "--api", fake.url).out
        )

    assert (typed.code, document["order"]) == (code, order)
    assert typed.out.startswith(f"{order}: ")
    differing = {name for name in "abc" if {"a": 7, "b": 3}.get(name) != theirs.get(name)}
    assert len(document["differing"]) == len(differing)


def test_the_owners_that_differ_are_named_with_both_versions(kith: Type, fake: FakeNode) -> None:
    clock(fake, a=7, b=3)
    with running() as other:
        clock(other, a=7, c=9)
        typed = kith("clock", "--against", other.url, "--api", fake.url)

    assert [line.split() for line in typed.out.splitlines()[-2:]] == [
        [B, "0.3", "-"], [C, "-", "0.9"]
    ]  # fmt: skip


def test_a_clock_that_is_none_is_strange(kith: Type, fake: FakeNode) -> None:
    values: tuple[object, ...] = (7, {"nobody": {}}, {A: 1})
    for value in values:
        fake.answers["GET", "/v1/clock"] = Answer(200, {"clock": value})
        assert kith("clock", "--api", fake.url).code == 2


def test_a_log_is_read_line_by_line(kith: Type, fake: FakeNode) -> None:
    changes = [{"kind": "service", "key": f"web/web-{n}", "change": "set"} for n in range(5)]
    commit: Document = {
        "hash": "ab" * 32, "epoch": 0, "version": 9, "parents": ["cd" * 32], "merge": False,
        "issued_at": "2026-01-02T03:04:05.678Z", "changes": changes, "changes_total": 5,
    }  # fmt: skip
    gone: Document = {
        **commit, "parents": [], "changes_total": 1,
        "changes": [{"kind": "node", "key": "node", "change": "removed"}],
    }  # fmt: skip
    fake.answers["GET", "/v1/owners/self/log"] = Answer(
        200, {"owner": A, "commits": [commit, gone], "disputed": True}
    )

    typed = kith("log", "--limit", "2", "--api", fake.url)

    assert typed.code == 1
    assert "in dispute" in typed.err
    first, second = typed.out.splitlines()[-2:]
    assert first.endswith("+web/web-0, +web/web-1, +web/web-2, +web/web-3 and 1 more")
    assert second.split()[-3:] == ["-", "-node", "node"]
    assert fake.asked[-1].query == (("limit", "2"),)
