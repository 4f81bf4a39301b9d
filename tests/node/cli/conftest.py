"""What the command's tests share: a fake node, and a way to type."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from node.cli import main

from .fake_node import FakeNode, running


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command ended."""

    code: int
    out: str
    err: str


class Type(Protocol):
    """Types a command line."""

    def __call__(self, *words: str) -> Typed: ...


@pytest.fixture
def fake() -> Iterator[FakeNode]:
    with running() as node:
        yield node


@pytest.fixture
def kith(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command line; no KITH_ variable of the machine reaches it."""
    for name in ("KITH_API", "KITH_TOKEN", "KITH_TOKEN_FILE", "KITH_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def type_(*words: str) -> Typed:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Typed(code, captured.out, captured.err)

    return type_
