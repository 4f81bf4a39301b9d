"""Where a command cannot do what was asked: exit codes, messages, and never a traceback."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from rich.text import Text

from node.cli import VERBS, main, status
from node.cli.options import TIMEOUT_DEFAULT_S, duration_s
from node.cli.tables import show_table, shown_id

from .conftest import Type
from .fake_node import A_ID, Answer, FakeNode, error

ROOT = Path(__file__).parents[3]
ASKING = [
    ("status",),
    ("peers",),
    ("services",),
    ("lookup", "web"),
    ("register", "web", "--port", "8000"),
    ("deregister", "web"),
    ("deregister", "web", "web-1"),
    ("join", "127.0.0.1:8401"),
    ("forget", "abc"),
    ("leave", "--yes"),
]
MIXED = {
    "peers": [{"id": 1, "name": [], "capabilities": {}, "rtt_ms": "x"}],
    "services": {"web": 1, "x": {"instances": "1", "tags": 2}},
    "instances": [{"id": None, "address": 1, "port": "x", "checks": [1, {"type": []}]}],
}
GARBAGE = [
    b"",
    b"<html>hello</html>",
    b"null",
    b"[]",
    b"17",
    b"{}",
    b'{"peers": 1, "services": 1, "instances": 1}',
    b'{"peers": [1], "services": [], "instances": ["x"]}',
    b'{"peers": [{}], "services": {"web": {}}, "instances": [{}]}',
    json.dumps(MIXED).encode(),
    b"\xff\xfe\x00",
    b'{"error": {"code": "x"}}',
]


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def run_for_real(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node.cli", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_no_node_is_exit_2_with_a_hint(kith: Type, words: tuple[str, ...]) -> None:
    typed = kith(*words, "--api", unused_url())
    assert (typed.code, typed.out) == (2, "")
    assert "connection refused" in typed.err
    assert "'kith dev' starts a cluster" in typed.err


class Always(dict[tuple[str, str], Answer]):
    """One answer to everything."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def get(self, key: object, default: object = None) -> Answer:
        return self._answer


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_garbage_is_an_error_and_not_a_traceback(
    kith: Type, fake: FakeNode, words: tuple[str, ...]
) -> None:
    for garbage in GARBAGE:
        for status_code, more in ((200, ()), (200, ("--json",)), (500, ())):
            fake.answers = Always(Answer(status_code, raw=garbage))
            typed = kith(*words, "--api", fake.url, *more)
            assert typed.code in {0, 1, 2}
            assert "internal error" not in typed.err
            if more:
                json.loads(typed.out)


@pytest.mark.parametrize(
    ("status_code", "code", "expected"),
    [
        (400, "invalid_field", 1),
        (401, "unauthenticated", 1),
        (403, "forbidden", 1),
        (404, "not_found", 2),
        (409, "conflict", 1),
        (429, "rate_limited", 1),
        (500, "internal", 1),
        (503, "minority", 1),
        (503, "shutting_down", 1),
    ],
)
def test_every_refusal_has_an_exit_code(
    kith: Type, fake: FakeNode, status_code: int, code: str, expected: int
) -> None:
    fake.answers["GET", "/v1/peers"] = Answer(status_code, error(code, "no"))
    typed = kith("peers", "--api", fake.url)
    assert (typed.code, typed.out) == (expected, "")
    assert f"kith: no [{code}]\n" in typed.err


def test_a_change_that_may_have_happened_is_called_so(kith: Type, fake: FakeNode) -> None:
    document = error("internal", "something broke")
    inner = document["error"]
    assert isinstance(inner, dict)
    inner["definite"] = False
    fake.answers["POST", "/v1/services"] = Answer(500, document)
    typed = kith("register", "web", "--port", "1", "--api", fake.url)
    assert "look before you repeat it" in typed.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--json",),
        ("--api",),
        ("frobnicate",),
        ("lookup",),
        ("lookup", "web", "--nonsense"),
        ("lookup", "web", "--limit", "0"),
        ("lookup", "web", "--limit", "10001"),
        ("watch", "--count", "0"),
        ("watch", "--count", "1.5"),
        ("peers", "--status", "sleepy"),
        ("register", "web"),
        ("register", "web", "--port", "0"),
        ("register", "web", "--port", "65536"),
        ("register", "web", "--port", "x"),
        ("register", "web", "--port", "1", "--meta", "novalue"),
        ("register", "web", "--port", "1", "--check", "ftp://x"),
        ("register", "web", "--port", "1", "--check", "tcp:nowhere"),
        ("register", "web", "--port", "1", "--check", "ttl:soon"),
        ("register", "web", "--port", "1", "--interval", "5"),
        ("status", "--timeout", "never"),
        ("status", "--timeout", "0s"),
        ("status", "--api", "ftp://x"),
        ("status", "--api", "http://[::1"),
        ("status", "--api", "http://a:99999"),
        ("status", "--token-file", "/nonexistent/token"),
        ("--json", "dev"),
        ("--api", "http://x", "node"),
        ("sim",),
        ("sim", "--seed", "x"),
        ("--api", "http://x", "sim", "--seed", "1"),
        ("dev", "--nodes", "0"),
        ("dev", "--nodes", "33"),
        ("dev", "--nodes", "\u0663"),
        ("dev", "--http-port", "x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_64(kith: Type, words: tuple[str, ...]) -> None:
    typed = kith(*words)
    assert typed.code == 64
    assert typed.err


def test_a_number_out_of_bounds_is_told_with_them(kith: Type) -> None:
    assert "'33' is not a number from 1 to 32" in kith("dev", "--nodes", "33").err


def test_the_help_lists_every_verb(kith: Type) -> None:
    listed = kith("--help").out
    assert [verb for verb in VERBS if f"\n  {verb} " not in listed] == []
    assert "sim" in VERBS


@pytest.mark.parametrize(("wrong", "right"), [("stauts", "status"), ("member", "members")])
def test_a_wrong_verb_is_told_the_nearest(kith: Type, wrong: str, right: str) -> None:
    assert f"did you mean: {right}" in kith(wrong).err


def test_global_options_stand_before_or_after_the_verb(kith: Type, fake: FakeNode) -> None:
    after = kith("services", "--api", fake.url, "--json", "--timeout", "5s")
    before = kith("--api", fake.url, "--json", "--timeout", "5s", "services")
    assert before == after
    assert json.loads(after.out)


def test_the_flag_wins_over_the_environment(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITH_API", fake.url.removeprefix("http://"))
    assert kith("services").code == 0
    assert kith("services", "--api", unused_url()).code == 2


def test_a_wrong_variable_is_named(kith: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITH_API", "gopher://x")
    typed = kith("services")
    assert typed.code == 64
    assert "KITH_API is 'gopher://x'" in typed.err


def test_the_token_comes_from_flag_or_environment(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("from-flag\n")
    (tmp_path / "two").write_text("from-file")
    monkeypatch.setenv("KITH_TOKEN_FILE", str(tmp_path / "two"))
    kith("services", "--api", fake.url)
    monkeypatch.setenv("KITH_TOKEN", "from-environment")
    kith("services", "--api", fake.url)
    kith("services", "--api", fake.url, "--token-file", str(tmp_path / "one"))

    sent = [asked.headers["authorization"] for asked in fake.asked]
    assert sent == ["Bearer from-file", "Bearer from-environment", "Bearer from-flag"]


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ü"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KITH_TOKEN", token)
    typed = kith("services", "--api", fake.url)
    assert typed.code == 64
    assert token not in typed.err
    assert fake.asked == []


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("5s", 5), ("1m", 60), ("1h", 3600)])
def test_timeouts_have_a_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds
    assert TIMEOUT_DEFAULT_S == 10


def test_a_bug_is_a_message_and_a_traceback_on_request_only(
    kith: Type,
    fake: FakeNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(status, "_ask", broken)
    typed = kith("status", "--api", fake.url)
    assert typed.code == 2
    assert "kith: internal error: RuntimeError: a bug" in typed.err

    monkeypatch.setenv("KITH_DEBUG", "1")
    assert main(["status", "--api", fake.url]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_quiet(kith: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "_ask", interrupted)
    typed = kith("status")
    assert (typed.code, typed.out, typed.err) == (130, "", "")


def test_a_reader_that_stops_reading_is_no_error(fake: FakeNode) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "node.cli", "peers", "--api", fake.url],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_program_runs_as_a_module(fake: FakeNode) -> None:
    ended = run_for_real("services", KITH_API=fake.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("SERVICE")


def test_the_command_loads_neither_tables_nor_http_before_they_are_needed() -> None:
    code = (
        "import sys, node.cli; print(sorted({'rich', 'httpx', 'trio', 'chaos'} & {*sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


class Terminal(io.StringIO):
    """Standard output that a person reads."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_a_terminal_gets_colours_short_ids_and_its_own_width(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        show_table(("ID", "HEALTH", "OUTPUT"), [(shown_id(A_ID), "passing", "word " * 30)])
    page = terminal.getvalue()
    assert "\x1b[32mpassing" in page
    assert A_ID[:8] in page
    assert A_ID[:9] not in page
    assert max(len(line) for line in Text.from_ansi(page).plain.splitlines()) <= 60
    assert page.count("word") == 30


def test_no_color_is_respected(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stdout(terminal):
        show_table(("HEALTH",), [("passing",)])
    assert "passing" in terminal.getvalue()
    assert "\x1b[32m" not in terminal.getvalue()


def test_interrupting_the_real_program_shows_no_traceback() -> None:
    # The listener takes the connection and never answers; the command waits for it.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "node.cli", "peers", "--api", url],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        ) as process:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")
