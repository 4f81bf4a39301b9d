"""`kith evidence`: a table for people, a document for programs, an exit code for scripts."""

import json

from .conftest import Type
from .fake_node import A_ID, B_ID, Answer, Document, FakeNode

PATH = ("GET", "/v1/evidence")


def case(ident: str = "ab" * 32, *, is_open: bool = True) -> Document:
    return {
        "id": ident,
        "owner": B_ID,
        "node": "b",
        "kind": "commits",
        "heads": [{"version": 7}, {"version": 8}],
        "verified": True,
        "found_at": "2026-01-02T03:04:05.678Z",
        "reported_by": A_ID,
        "open": is_open,
        "settled_at": None if is_open else "2026-01-02T03:04:06.000Z",
        "settled_by": None if is_open else {"rule": "merge", "epoch": 0, "version": 9},
    }


def show(fake: FakeNode, *cases: Document, total: int | None = None) -> None:
    document = {"evidence": list(cases), "total": len(cases) if total is None else total}
    fake.answers[PATH] = Answer(200, document)


def test_nothing_caught_is_good(kith: Type, fake: FakeNode) -> None:
    show(fake)

    typed = kith("evidence", "--api", fake.url)

    assert (typed.code, typed.out) == (0, "")
    assert "nobody was caught forking" in typed.err


def test_an_open_dispute_is_degraded_and_is_named(kith: Type, fake: FakeNode) -> None:
    show(fake, case(), case("cd" * 32, is_open=False), total=5)

    typed = kith("evidence", "--api", fake.url)

    assert typed.code == 1
    first, second = typed.out.splitlines()[-2:]
    assert first.split() == [
        "ab" * 32, B_ID, "b", "open", "2026-01-02T03:04:05.678Z", A_ID, "7", "/", "8", "-"
    ]  # fmt: skip
    assert second.endswith("2026-01-02T03:04:06.000Z by merge")
    assert "3 more: --limit shows them" in typed.err


def test_settled_evidence_is_good(kith: Type, fake: FakeNode) -> None:
    show(fake, case(is_open=False))

    assert kith("evidence", "--api", fake.url).code == 0


def test_evidence_that_does_not_verify_says_so(kith: Type, fake: FakeNode) -> None:
    show(fake, {**case(), "verified": False})

    assert "open (cannot be verified here)" in kith("evidence", "--api", fake.url).out


def test_the_filters_are_passed_on_and_json_is_the_document(kith: Type, fake: FakeNode) -> None:
    show(fake, case())

    typed = kith(
        "evidence", "--owner", "self", "--open", "--limit", "5", "--json", "--api", fake.url
    )

    assert json.loads(typed.out)["evidence"] == [case()]
    assert typed.code == 1
    assert fake.asked[-1].query == (("limit", "5"), ("owner", "self"), ("open", "true"))
