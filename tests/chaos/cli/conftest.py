"""What the tests of `kith sim` share: a way to type."""

import pytest

from node.cli import main

from .situations import Type, Typed


@pytest.fixture
def kith(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command line; no traceback may show unless a test asks for one."""
    monkeypatch.delenv("KITH_DEBUG", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def type_(*words: str) -> Typed:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Typed(code, captured.out, captured.err)

    return type_
