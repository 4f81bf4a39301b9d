"""`kith keys`: shown as a table, rotated at once, revoked only by whoever types the id."""

import io
import sys

import pytest

from .conftest import Type
from .fake_node import A_ID, Answer, FakeNode, error

EVENT = {"sequence": 0, "kind": "inception", "public_key": "8a88e3dd7409f195", "hash": "ab" * 32}
CHAIN = {"id": A_ID, "epoch": 0, "revoked": False, "events": [EVENT]}
SHOWN = f"""\
node      {A_ID}
epoch     0
next key  at hand
SEQUENCE   KIND        PUBLIC KEY         HASH
──────────────────────────────────────────────────────────
0          inception   8a88e3dd7409f195   abababababababab
"""


def knowing(fake: FakeNode, *, next_key: bool = True) -> None:
    fake.answers["GET", "/v1/keys"] = Answer(200, {**CHAIN, "next_key": next_key})


def test_keys_are_shown(fake: FakeNode, kith: Type) -> None:
    knowing(fake)
    typed = kith("keys", "show", "--api", fake.url)
    assert (typed.code, typed.out) == (0, SHOWN)

    knowing(fake, next_key=False)
    typed = kith("keys", "show", "--api", fake.url)
    assert "not in the data directory" in typed.out
    assert "put identity.next back" in typed.err


def test_a_rotation_says_which_key_it_is_now(fake: FakeNode, kith: Type) -> None:
    rotated = {"status": "rotated", **CHAIN, "epoch": 1}
    fake.answers["POST", "/v1/keys/rotate"] = Answer(200, rotated)
    typed = kith("keys", "rotate", "--api", fake.url)
    assert (typed.code, typed.out) == (0, "the node has key 1 now; the old one is refused\n")

    refusal = error("minority", "rotating this node's key needs the majority", None)
    fake.answers["POST", "/v1/keys/rotate"] = Answer(503, refusal)
    typed = kith("keys", "rotate", "--api", fake.url)
    assert typed.code != 0
    assert "needs the majority" in typed.err


@pytest.mark.parametrize(("answer", "done"), [(A_ID[:8], True), (A_ID, True), ("yes", False)])
def test_revoking_asks_for_the_id(
    fake: FakeNode, kith: Type, monkeypatch: pytest.MonkeyPatch, answer: str, *, done: bool
) -> None:
    knowing(fake)
    fake.answers["POST", "/v1/keys/revoke"] = Answer(202, {"status": "revoked", **CHAIN})
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))

    typed = kith("keys", "revoke", "--api", fake.url)

    assert f"Type {A_ID[:8]} to go on" in typed.err
    assert any(asked.path == "/v1/keys/revoke" for asked in fake.asked) is done
    assert (typed.code == 0) is done


def test_revoking_with_yes_does_not_ask(fake: FakeNode, kith: Type) -> None:
    knowing(fake)
    fake.answers["POST", "/v1/keys/revoke"] = Answer(202, {"status": "revoked", **CHAIN})
    typed = kith("keys", "revoke", "--yes", "--api", fake.url)
    assert typed.code == 0
    assert "revoked" in typed.out
    assert kith("keys", "rotate", "--yes", "--api", fake.url).code == 64
