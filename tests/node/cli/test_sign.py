"""`kith sign`: a key made, a body signed and checked, and what is wrong with it said."""

import io
import json
import sys
from pathlib import Path
from typing import cast

import pytest

from mesh import GuestKey, is_signed
from node.times import parse_us
from tests.mesh.test_guests import BODY

from .conftest import Type, Typed


def signed(kith: Type, folder: Path, *words: str, **fields: object) -> Typed:
    """What becomes of a body with these fields besides or instead, as file."""
    key, body = folder / "guest.key", folder / "body.json"
    if not key.exists():
        assert kith("sign", "--new-key", str(key)).code == 0
    body.write_text(json.dumps({**BODY, **fields}))
    return kith("sign", "--key", str(key), "--cluster", "kith", *words, str(body))


def test_a_new_key_is_made_and_shown(kith: Type, tmp_path: Path) -> None:
    typed = kith("sign", "--new-key", str(tmp_path / "a"))
    assert (typed.code, typed.out.strip()) == (0, GuestKey.load(tmp_path / "a").public_key)

    typed = kith("sign", "--json", "--new-key", str(tmp_path / "b"))
    shown = {"file": str(tmp_path / "b"), "public_key": GuestKey.load(tmp_path / "b").public_key}
    assert json.loads(typed.out) == shown

    typed = kith("sign", "--new-key", str(tmp_path / "a"))
    assert typed.code == 1
    assert "never overwritten" in typed.err


def test_a_body_is_signed_from_a_file_and_from_standard_input(
    kith: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = signed(kith, tmp_path)
    assert (typed.code, typed.err) == (0, "")
    first = json.loads(typed.out)
    assert is_signed(first, cluster="kith")

    raw = json.dumps({**BODY, "cluster": "named"}).encode()
    for words in ((), ("-",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        typed = kith("sign", "--key", str(tmp_path / "guest.key"), *words)
        assert is_signed(json.loads(typed.out), cluster="named")


def test_a_word_comes_after_the_one_that_is_named(kith: Type, tmp_path: Path) -> None:
    first = cast("dict[str, str]", json.loads(signed(kith, tmp_path).out))
    second = cast(
        "dict[str, str]", json.loads(signed(kith, tmp_path, "--after", first["last_updated"]).out)
    )
    assert parse_us(second["last_updated"]) > parse_us(first["last_updated"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "A B"),
        ("address", "nowhere"),
        ("metrics_port", 70_000),
        ("node_type", "boss"),
        ("capabilities", []),
        ("colour", "red"),
        ("last_updated", "2020-01-02T03:04:05Z"),
        ("ttl", "10ms"),
        ("action", None),
    ],
)
def test_what_a_node_would_refuse_is_refused_by_name(
    kith: Type, tmp_path: Path, field: str, value: object
) -> None:
    typed = signed(kith, tmp_path, "--json", **{field: value})
    assert typed.code == 1
    assert json.loads(typed.out)["error"]["field"] == field
    assert field in typed.err


def test_a_signed_body_is_checked(kith: Type, tmp_path: Path) -> None:
    path = tmp_path / "signed.json"
    path.write_text(signed(kith, tmp_path).out)
    typed = kith("sign", "--check", str(path))
    assert typed.code == 0
    assert typed.out.startswith("well signed: backend-7 in kith, said ")
    typed = kith("sign", "--check", "--json", str(path))
    assert json.loads(typed.out)["signed_by"] == json.loads(path.read_text())["public_key"]

    altered = {**json.loads(path.read_text()), "metrics_port": 1}
    path.write_text(json.dumps(altered))
    typed = kith("sign", "--check", str(path))
    assert typed.code == 1
    assert "is not that key's signature" in typed.err


@pytest.mark.parametrize(
    ("content", "words", "code", "said"),
    [
        ("{", ("--check",), 1, "not JSON"),
        ("[]", ("--check",), 1, "no JSON object"),
        ("{}", ("--check",), 64, "cluster is missing"),
        ("{}", ("--check", "--cluster", "a"), 1, "nobody signed it"),
        ("{}", ("--check", "--cluster", "a", "--after", "x"), 64, "--after"),
        (" " * 70_000, ("--check",), 1, "longer than"),
        ("{}", ("--new-key", "x"), 64, "no body"),
        ("{}", ("--key", "/nowhere/key", "--cluster", "a"), 1, "No such file"),
        ("{}", (), 64, "required"),
    ],
)
def test_wrong_usage_is_said(
    kith: Type, tmp_path: Path, content: str, words: tuple[str, ...], code: int, said: str
) -> None:
    body = tmp_path / "body.json"
    body.write_text(content)
    typed = kith("sign", *words, str(body))
    assert typed.code == code
    assert said in typed.err


def test_a_file_that_is_not_there_is_unknown(kith: Type, tmp_path: Path) -> None:
    assert kith("sign", "--check", str(tmp_path / "nothing")).code == 2
