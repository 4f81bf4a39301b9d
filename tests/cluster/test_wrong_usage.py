"""What keeps a real node from starting: one clear line, an exit code, and untouched files."""

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.cli.local_cluster import HOST, NODE_COMMAND, free_ports

from .situations import (
    PATIENCE_S,
    Extra,
    NoAnswer,
    Town,
    clean_environment,
    expect_within,
    run_kith,
    say,
)

SECRET = "correct-horse-battery-staple"  # noqa: S105 (made up, for this test)
HEADER_BYTES = 100
"""Of a SQLite file; sqlite.org/fileformat.html, section 1.3."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Case:
    """A way to start a node that cannot be, and what its one line has to say."""

    what: str
    options: tuple[str, ...]
    said: tuple[str, ...]
    """Of these words, all."""
    data_dir: Path | None = None
    """Must not be changed."""


def files(directory: Path) -> dict[str, bytes]:
    """What lies there, without what a running node rewrites all the time."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("lock", "kith.db.lock")
    }


@contextmanager
def tried(cases: list[Case], directory: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start all of them at once: each is a second of importing, on two cores."""
    running = []
    try:
        for number, case in enumerate(cases):
            data_dir = case.data_dir or directory / f"fresh-{number}"
            given = {"--data-dir": str(data_dir), "--http": f"{HOST}:0", "--gossip": f"{HOST}:0"}
            words = [w for pair in given.items() if pair[0] not in case.options for w in pair]
            running.append(
                subprocess.Popen(
                    [*NODE_COMMAND, *words, *case.options],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=clean_environment(),
                ),
            )
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def cases_of(town: Town, lived: Path, directory: Path) -> list[Case]:
    """Every wrong way; `lived` is the data directory of a node that ran and ended."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(lived, directory / name))

    newer, damaged, cut, stranger, other = map(
        copy, ("newer", "damaged", "cut", "stranger", "other")
    )
    with sqlite3.connect(newer / "kith.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with (damaged / "kith.db").open("r+b") as file:
        file.write(b"\xff" * HEADER_BYTES)
    with (cut / "kith.db").open("r+b") as file:
        file.truncate(5_000)
    for path in stranger.glob("identity.*"):
        path.unlink()
    http, gossip = town.cluster.api_url(0).removeprefix("http://"), town.cluster.gossip_address(0)
    return [
        Case("its HTTP port is in use", ("--http", http), (http, "in use", "--http")),
        Case("its gossip port is in use", ("--gossip", gossip), (gossip, "in use")),
        Case("its data directory is in use", ("--data-dir", str(town.data_dir(0))),
             (str(town.cluster.pid(0)), "uses this directory", "--data-dir")),
        Case("a directory of another cluster", ("--cluster", "other"), ("cluster",), other),
        Case("a database of a later Kith", (), ("version 99", "Run the Kith"), newer),
        Case("a database with a damaged header", (), ("damaged", "backup"), damaged),
        Case("a database that was cut", (), ("damaged", "backup"), cut),
        Case("a database of another node", (), ("of node", "key file"), stranger),
        Case("an address that is none", ("--gossip", "nonsense"), ("nonsense", "--gossip")),
    ]  # fmt: skip


def test_what_keeps_a_node_from_starting_is_one_clear_line_and_no_file_is_touched(
    town: Town, tmp_path: Path
) -> None:
    with town.one_more(name="lived") as extra:
        extra.wait_ready()
        extra.node.register("web", 80)
        extra.child.send(signal.SIGTERM)
        assert extra.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251
    cases = cases_of(town, extra.data_dir, tmp_path)
    before = [files(case.data_dir) if case.data_dir else {} for case in cases]

    with tried(cases, tmp_path) as running:
        for case, process, kept in zip(cases, running, before, strict=True):
            out, err = process.communicate(timeout=PATIENCE_S * 2)
            say(f"{case.what:34} exit {process.returncode}: {err.strip()}")
            assert process.returncode not in (0, None), case.what
            assert "Traceback" not in out + err, case.what
            assert all(part in err for part in case.said), (case.what, err)
            assert err.startswith("kith: "), err
            if "mistake" not in err:
                assert len(err.strip().splitlines()) == 1, err
            if case.data_dir is not None:
                after = files(case.data_dir)
                assert {name: after[name] for name in kept} == kept, case.what

    town.settle()


def test_a_node_open_to_the_network_without_a_secret_says_so_loudly(town: Town) -> None:
    port = free_ports(1)[0]
    options = ("--http", f"0.0.0.0:{port}", "--advertise-http", f"{HOST}:{port}")
    with town.one_more(*options) as extra:
        warned = "api_open_to_the_network"
        expect_within(
            PATIENCE_S, lambda: extra.child.log and warned in extra.node.log.read_text(), warned
        )
        line = extra.node.events(warned)[0]
        assert line["level"] == "warning"
        assert "KITH_TOKEN" in str(line["remedy"])
        say(f"{line['level']}: {line['event']}; {line['remedy']}")


def status_of(extra: Extra, token: str, path: str) -> int:
    """How a request with that token ends; 0 without an answer."""
    try:
        return extra.node.with_token(token).call("GET", path).status
    except NoAnswer:
        return 0


def test_without_its_token_a_node_answers_401_and_the_command_says_what_to_do(
    town: Town, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(SECRET + "\n")
    token_file.chmod(0o600)
    with town.one_more("--token-file", str(token_file)) as extra:
        expect_within(PATIENCE_S, lambda: status_of(extra, SECRET, "/v1/node") == 200, "ready")

        refused = [status_of(extra, one, "/v1/node") for one in ("", "wrong", SECRET + "x")]
        without = run_kith(extra.node, "status")
        with_it = run_kith(extra.node, "--token-file", str(token_file), "status")

        assert refused == [401, 401, 401]
        assert status_of(extra, "", "/healthz") == 200
        assert without.returncode != 0
        assert "Traceback" not in without.stderr + without.stdout
        assert "token" in without.stderr
        assert with_it.returncode in (0, 1)  # 1: it is alone, or not yet of one mind
        assert SECRET not in extra.node.log.read_text() + without.stderr + with_it.stdout
        say(f"without: exit {without.returncode}: {without.stderr.strip()}")
