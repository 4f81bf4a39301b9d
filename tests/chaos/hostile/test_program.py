"""The hostile programs by themselves: what they refuse, the keys they read, and when they end."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.cluster.processes import ROOT, clean_environment
from chaos.hostile.keys import HostileError, read_keys
from chaos.hostile.program import main
from node import keystore
from protocol.signing import cluster_id

CLUSTER = cluster_id("kith")
PATIENCE_S = 30.0
RATES = ["--per-s", "50", "--for-s", "60", "--seed", "1"]


def test_the_keys_of_a_node_are_read_as_the_node_reads_them(tmp_path: Path) -> None:
    node = keystore.load_or_create(tmp_path, CLUSTER, None)

    stolen = read_keys(tmp_path)

    assert (stolen.node, stolen.cluster) == (node.node, CLUSTER)
    assert stolen.keys.public_key == node.keys.public_key
    assert stolen.chain == node.chain


def test_the_key_after_a_rotation_is_read(tmp_path: Path) -> None:
    first = keystore.load_or_create(tmp_path, CLUSTER, None)
    keystore.rotate(tmp_path, CLUSTER, None)

    stolen = read_keys(tmp_path)

    assert stolen.node == first.node
    assert stolen.chain.epoch == 1
    assert stolen.keys.public_key == stolen.chain.key_of(1)


def test_keys_that_cannot_be_used_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(HostileError, match="No such file or directory; has the node run"):
        read_keys(tmp_path)

    (tmp_path / "sealed").mkdir()
    keystore.load_or_create(tmp_path / "sealed", CLUSTER, b"a passphrase")
    with pytest.raises(HostileError, match="sealed by a passphrase"):
        read_keys(tmp_path / "sealed")

    (tmp_path / "identity.key").write_bytes(bytes(100))
    with pytest.raises(HostileError, match="no key file, or damaged"):
        read_keys(tmp_path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["thief", "--target", "127.0.0.1:1", *RATES], "thief"),
        (["slanderer", "--target", "127.0.0.1:1", *RATES], "--key-dir"),
        (["flooder", *RATES], "--target"),
        (["flooder", "--target", "nowhere", *RATES], "nowhere"),
        (["flooder", "--target", "127.0.0.1:99999", *RATES], "99999"),
        (["flooder", "--target", "127.0.0.1:1", "--per-s", "1e9"], "1e9"),
        (["flooder", *["--target", "127.0.0.1:1"] * 65, *RATES], "64 at most"),
        (["flooder", "--target", "127.0.0.1:1", "--accuse", "127.0.0.1:2", *RATES], "--accuse"),
        (["slanderer", "--target", "127.0.0.1:1", "--accuse", "nobody", *RATES], "nobody"),
        (["slanderer", "--target", "127.0.0.1:1", "--ahead", "0", *RATES], "--ahead"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert named in capsys.readouterr().err


def test_where_nobody_answers_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keystore.load_or_create(tmp_path, CLUSTER, None)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{unheard.getsockname()[1]}"

        code = main(["forker", "--key-dir", str(tmp_path), "--target", target, *RATES])

    assert code == 1
    assert "nobody answers" in capsys.readouterr().err


def begin(port: int, *more: str) -> subprocess.Popen[bytes]:
    """A stranger who floods a port."""
    words = [sys.executable, "-m", "chaos.hostile", "flooder", "--target", f"127.0.0.1:{port}"]
    return subprocess.Popen(
        [*words, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
        cwd=ROOT,
    )


def test_a_program_ends_when_its_owner_lets_go_and_says_what_it_did() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(PATIENCE_S)
        program = begin(ear.getsockname()[1], *RATES)
        ear.recv(2_048)

        said, _ = program.communicate(timeout=PATIENCE_S)

    assert program.returncode == 0
    assert json.loads(said)["datagrams_count"] >= 1


def test_a_program_ends_when_its_time_is_over_and_keeps_its_rate() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        program = begin(ear.getsockname()[1], "--per-s", "50", "--for-s", "0.5", "--seed", "1")
        assert program.stdout is not None
        said = program.stdout.read()

        program.communicate(timeout=PATIENCE_S)

    assert program.returncode == 0
    assert 1 <= json.loads(said)["datagrams_count"] <= 26


def test_a_program_that_is_told_to_end_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(PATIENCE_S)
        program = begin(ear.getsockname()[1], *RATES)
        ear.recv(2_048)
        begun = time.perf_counter()

        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=PATIENCE_S)

    assert time.perf_counter() - begun < PATIENCE_S
    assert program.returncode == -signal.SIGTERM
