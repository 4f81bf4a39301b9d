"""`kith document` and `kith conflicts`, as a person types them."""

import io
import json
import sys

import pytest

from .conftest import Type
from .fake_node import A_ID, B_ID, Answer, FakeNode, error

PATH = "/v1/documents/settings"
CONFLICT = {
    "field": "color",
    "rule": "later",
    "siblings": [
        {"value": "blue", "writer": B_ID, "node": "b", "written_at": "T2", "shown": True},
        {"value": "red", "writer": A_ID, "node": "a", "written_at": "T1", "shown": False},
    ],
}
DOCUMENT = {
    "key": "settings", "value": {"color": "blue"}, "etag": '"e1"', "conflict": True,
    "conflicts": [CONFLICT], "ignored": [{"writer": A_ID, "node": "a"}],
}  # fmt: skip
GUEST = {
    "id": "g",
    "resolution": {
        "rule": "majority",
        "entitled": 3,
        "votes": [
            {"address": "one:1", "hosts": [A_ID, B_ID]}, {"address": "two:2", "hosts": ["c"]},
        ],
        "discrepancies": [],
    },
}  # fmt: skip
TABLE = f"""\
WHAT                FIELD     SHOWN   VALUE    BY                                                                                                          WHEN   RULE
─
document settings   color     yes     "blue"   b                                                                                                           T2     later
document settings   color     no      "red"    a                                                                                                           T1     later
guest g             address   yes     one:1    {A_ID},{B_ID}   -      majority, 2 of 3
guest g             address   no      two:2    c                                                                                                           -      majority, 1 of 3
"""  # noqa: E501 - a piped table is as wide as it needs


def test_a_document_is_shown_with_what_is_in_conflict_beside_it(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", PATH] = Answer(200, DOCUMENT)

    typed = kith("document", "get", "settings", "--api", fake.url)

    assert (typed.code, json.loads(typed.out)) == (0, {"color": "blue"})
    assert 'etag "e1"' in typed.err
    assert 'field color is in conflict: "blue" by b, "red" by a; write it' in typed.err
    assert "what a wrote is left out" in typed.err
    typed = kith("document", "get", "settings", "--api", fake.url, "--json")
    assert json.loads(typed.out) == DOCUMENT


def test_a_document_is_put_patched_and_deleted_if_it_is_still_the_one_read(
    kith: Type, fake: FakeNode
) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        fake.answers[method, PATH] = Answer(200, DOCUMENT)
    api = ("--api", fake.url)

    assert kith("document", "put", "settings", '{"a": 1}', "--owner", "self", *api).code == 0
    assert kith("document", "patch", "settings", '{"a": null}', "--if-match", "e1", *api).code == 0
    typed = kith("document", "delete", "settings", "--if-match", '"e1"', *api)

    assert (typed.code, typed.out) == (0, "deleted: settings\n")
    put, patch, delete = fake.asked
    assert put.body == {"value": {"a": 1}, "owners": ["self"]}
    assert "if-match" not in put.headers
    assert (patch.body, patch.headers["if-match"]) == ({"value": {"a": None}}, '"e1"')
    assert (delete.body, delete.headers["if-match"]) == (None, '"e1"')


def test_a_value_may_come_from_standard_input(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers["PUT", PATH] = Answer(201, DOCUMENT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": [1.5]}')))

    assert kith("document", "put", "settings", "-", "--api", fake.url).code == 0

    assert fake.asked[0].body == {"value": {"a": [1.5]}}


def test_a_condition_that_does_not_hold_ends_in_one_with_a_hint(kith: Type, fake: FakeNode) -> None:
    fake.answers["PUT", PATH] = Answer(412, error("precondition_failed", "it changed"))

    typed = kith("document", "put", "settings", "{}", "--if-match", "e0", "--api", fake.url)

    assert typed.code == 1
    assert "it changed [precondition_failed]" in typed.err
    assert "kith document get KEY" in typed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("put", "settings"), "a JSON object is missing"),
        (("put", "settings", "{"), "not JSON"),
        (("patch", "settings", "[1]"), "no JSON object"),
        (("get", "settings", "{}"), "takes no value"),
        (("delete", "settings", "--owner", "self"), "takes no value and no --owner"),
        (("get", "settings", "--if-match", "e"), "--if-match goes with"),
        (("burn", "settings"), "invalid choice"),
    ],
)
def test_wrong_usage_is_told_before_anybody_is_asked(
    kith: Type, fake: FakeNode, words: tuple[str, ...], said: str
) -> None:
    typed = kith("document", *words, "--api", fake.url)

    assert typed.code == 64
    assert said in typed.err
    assert not fake.asked


def test_conflicts_are_listed_and_end_in_one(kith: Type, fake: FakeNode) -> None:
    document = {"key": "settings", "etag": '"e1"', "conflicts": [CONFLICT]}
    found = {"documents": [document], "guests": [GUEST]}
    fake.answers["GET", "/v1/conflicts"] = Answer(200, found)

    typed = kith("conflicts", "--api", fake.url)

    lines = [line if not line.startswith("─") else "─" for line in typed.out.splitlines()]
    assert typed.code == 1
    assert lines == TABLE.splitlines()
    typed = kith("conflicts", "--api", fake.url, "--json")
    assert (typed.code, json.loads(typed.out)) == (1, found)


def test_without_conflicts_it_says_so_and_ends_in_zero(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/conflicts"] = Answer(200, {"documents": [], "guests": []})

    typed = kith("conflicts", "--api", fake.url)

    assert (typed.code, typed.out, typed.err) == (0, "", "kith: nothing is in conflict\n")
    typed = kith("conflicts", "--api", fake.url, "--json")
    assert (typed.code, json.loads(typed.out)) == (0, {"documents": [], "guests": []})


def test_an_answer_of_another_program_is_recognised(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/conflicts"] = Answer(200, {"documents": [{}], "guests": []})

    assert kith("conflicts", "--api", fake.url).code == 2
