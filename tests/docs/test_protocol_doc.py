"""PROTOCOL.md names every kind, domain, limit, parameter and refusal there is, and no other."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import orjson
import pytest

from node.http.errors import STATUS_OF, invalid_field
from protocol import limits, merkle, signing
from protocol.commits import digest
from protocol.detector.config import MembershipConfig
from protocol.errors import RefusalCode
from protocol.records import Kind
from protocol.wire import messages

from . import pages

DOC = pages.PROTOCOL
REFUSING = {"RefusedError", "Refused", "Drop", "FrameError", "refusal"}
RAISING = {"malformed": "MalformedError", "bad_signature": "BadKeyEventError"}
MODULES = sorted(
    path
    for folder in ("protocol", "node/transport")
    for path in (pages.ROOT / folder).rglob("*.py")
)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


def texts(call: ast.Call) -> list[str]:
    values = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def refusals(path: Path) -> set[str]:
    """The codes that a module refuses with, by name or by the class of what it raises."""
    codes: set[str] = set()
    for name, call in calls(path):
        if name in REFUSING:
            codes |= set(texts(call)) & set(get_args(RefusalCode))
        codes |= {code for code, raised in RAISING.items() if raised == name}
    return codes


def test_every_refusal_code_is_explained_once() -> None:
    table = pages.table(DOC, "code", "when", "whose fault", "state after", "definite", "modules")
    assert [row.strip("`") for row in table.column("code")] == list(get_args(RefusalCode))
    assert set(table.column("definite")) <= {"yes", "no"}
    assert all(cell for row in table.rows for cell in row)


@pytest.mark.parametrize("code", get_args(RefusalCode))
def test_a_refusal_arises_in_the_modules_that_are_named(code: str) -> None:
    table = pages.table(DOC, "code", "when", "whose fault", "state after", "definite", "modules")
    (row,) = (row for row in table.rows if row[0] == f"`{code}`")
    actual = {path.stem for path in MODULES if code in refusals(path)}
    assert set(pages.spans(row[-1])) == actual


def test_every_signing_domain_is_listed() -> None:
    listed = pages.table(DOC, "domain", "payload", "who signs").column("domain")
    assert [cell.strip("`").encode() for cell in listed] == [each.value for each in signing.Domain]


def test_every_datagram_kind_is_listed_with_its_number() -> None:
    titles = ("kind", "name", "fields, in order", "what it says", "bytes in all")
    rows = pages.table(DOC, *titles).rows
    listed = [(int(row[0]), row[1].strip("`")) for row in rows]
    assert listed == [(kind.value, kind.name) for kind in messages.DatagramKind]


def test_every_kind_of_record_is_listed_with_its_number() -> None:
    rows = pages.table(DOC, "kind", "name", "key", "body").rows
    assert [(int(row[0]), row[1].strip("`")) for row in rows] == [(k.value, k.name) for k in Kind]


def test_every_limit_is_listed() -> None:
    paths = pages.table(DOC, "limit", "value", "constant").column("constant")
    listed = [path.strip("`").removeprefix("protocol.limits.") for path in paths]
    assert sorted(listed) == sorted(name for name in vars(limits) if name.isupper())


def test_every_membership_parameter_is_listed_for_every_profile() -> None:
    titles = ("parameter", "local", "lan", "wan", "hostile")
    rows = pages.table(DOC, *titles).rows
    assert [row[0].strip("`") for row in rows] == [
        field.name for field in dataclasses.fields(MembershipConfig)
    ]
    profiles = [
        MembershipConfig.local(),
        MembershipConfig.lan(),
        MembershipConfig.wan(),
        MembershipConfig.hostile(),
    ]
    for name, *values in rows:
        actual = [getattr(profile, name.strip("`")) for profile in profiles]
        assert [pages.number(value) for value in values] == actual, name


def test_every_http_error_is_listed_with_its_status() -> None:
    rows = pages.table(DOC, "status", "code", "when", "definite").rows
    assert {row[1].strip("`"): int(row[0]) for row in rows} == dict(STATUS_OF)
    assert len(rows) == len(STATUS_OF)
    assert {row[3] for row in rows} <= {"yes", "no", "either"}


def test_an_http_error_that_nothing_raises_is_listed_as_reserved() -> None:
    rows = pages.table(DOC, "status", "code", "when", "definite").rows
    raised: set[str] = set()
    for path in (pages.ROOT / "node").rglob("*.py"):
        for name, call in calls(path):
            raised |= set(texts(call)) if name == "ApiError" else set()
    for _, code, when, _ in rows:
        assert when.startswith("reserved: ") == (code.strip("`") not in raised), code


def test_an_error_that_is_listed_as_definite_is_never_raised_otherwise() -> None:
    rows = pages.table(DOC, "status", "code", "when", "definite").rows
    definite = {row[1].strip("`") for row in rows if row[3] == "yes"}
    for path in (pages.ROOT / "node").rglob("*.py"):
        for name, call in calls(path):
            if name == "ApiError" and any(word.arg == "definite" for word in call.keywords):
                assert not definite & set(texts(call)), f"{path.name}, line {call.lineno}"


def test_the_example_of_an_http_error_has_its_shape() -> None:
    (block,) = pages.fenced(DOC, "json")
    message = "port: 0 is not in 1..65535"
    assert orjson.loads(block) == orjson.loads(invalid_field("port", message).encode("5f0c"))


def test_the_test_vectors_come_out() -> None:
    values = pages.table(DOC, "test vector", "value").column("value")
    tree = merkle.Tree().set(digest(b"1\0web/web-1"), digest(bytes.fromhex("9101")))
    assert [value.strip("`") for value in values] == [
        signing.cluster_id("demo").hex(),
        tree.root.hex(),
    ]
