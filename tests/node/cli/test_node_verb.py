"""`kith node` up to the moment the server takes over."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.config import NodeConfig

from .conftest import Type

server = pytest.importorskip("node.server", reason="the server is not in this build")

ROOT = Path(__file__).parents[3]


def test_a_configuration_that_cannot_be_used_is_wrong_usage(kith: Type) -> None:
    typed = kith("node", "--http", "nowhere", "--name", "A B")
    assert (typed.code, typed.out) == (64, "")
    assert "2 mistakes in the configuration" in typed.err


def test_the_server_gets_what_was_typed_and_names_the_exit_code(
    kith: Type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a secret of some length")
    ran: list[tuple[str, str, Path | None]] = []

    def run(config: NodeConfig) -> int:
        ran.append((config.name, str(config.http), config.token_file))
        return 7

    monkeypatch.setattr(server, "run", run)
    typed = kith("--token-file", str(token), "node", "--name", "b", "--http", "127.0.0.1:8410")

    assert typed.code == 7
    assert ran == [("b", "127.0.0.1:8410", token)]


def test_warnings_of_the_configuration_reach_the_user(
    kith: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "run", lambda _: 0)
    typed = kith("node", "--http", "0.0.0.0:8400")
    assert typed.code == 0
    assert "kith: warning: the HTTP API listens on 0.0.0.0:8400 without a token" in typed.err


def test_help_explains_the_flags(kith: Type) -> None:
    typed = kith("node", "--help")
    assert typed.code == 0
    assert "--data-dir" in typed.out


def test_a_node_carries_nothing_of_the_commands_that_ask_one() -> None:
    asking = "{'node.cli.session', 'node.cli.tables', 'node.cli.status', 'node.cli.dev'}"
    code = f"import sys, node.cli.node; print(sorted({asking} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"
