"""`kith sim` on the real simulator, with tiny worlds; and what it refuses."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.__main__ import main as chaos_main
from chaos.cli import sim
from chaos.sim.swarm import PROFILES

from .situations import (
    INVALID_SEED,
    RAISING_SEED,
    TINY,
    UNKNOWN_SEED,
    Type,
    perform_by_seed,
)

ROOT = Path(__file__).parents[3]
ENDED_WITHIN_S = 60.0
MANY = ("sim", "--seeds", "1..100000", "--jobs", "2", *TINY)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "node.cli", *words]


def run_for_real(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN_S,
        check=False,
    )


def on_a_terminal(*words: str) -> tuple[int, bytes, bytes]:
    """Run with a terminal for standard error: code, standard output, what the terminal got."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*words),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65_536):
                seen += piece
        except OSError:  # the last writer is gone
            pass
        os.close(ours)
        assert process.stdout is not None
        out = process.stdout.read()
    return process.returncode, out, seen


def test_a_run_ends_with_its_verdict_its_hash_and_its_replay(kith: Type) -> None:
    typed = kith("sim", "--seed", "1", *TINY)

    lines = typed.out.splitlines()
    assert typed.code == 0
    assert lines[0].startswith("VALID  seed 1: 3 nodes, profile calm, 1 s of faults")
    assert lines[-1].startswith("VALID  checkers: ")
    assert lines[-2].startswith(
        "  replay      kith sim --seed 1 --nodes 3 --for 1s --profile calm   # "
    )
    assert len(lines[-3].split()[-1]) == 32
    assert "virtual seconds a second" in typed.err


def test_the_replay_line_gives_the_same_output(kith: Type) -> None:
    first = kith("sim", "--seed", "3", "--for", "1s", "--profile", "crashes")
    (line,) = [line for line in first.out.splitlines() if line.startswith("  replay ")]
    words = line.partition("#")[0].split()[2:]

    assert kith(*words).out == first.out


def test_the_output_is_the_same_in_every_process() -> None:
    words = ("sim", "--seed", "5", "--nodes", "4", "--for", "3s")
    one, other = (run_for_real(*words, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert one.stdout == other.stdout
    assert "VALID" in one.stdout


def test_a_run_as_json_is_one_document(kith: Type) -> None:
    document = json.loads(kith("--json", "sim", "--seed", "1", *TINY).out)
    assert (document["seed"], document["verdict"], document["nodes"]) == (1, "valid", 3)
    assert document["plan"]["profile"] == "calm"


def test_the_profiles_are_listed(kith: Type) -> None:
    assert kith("sim", "--list").out == kith("sim", "--profiles").out
    assert json.loads(kith("sim", "--profiles", "--json").out) == {"profiles": dict(PROFILES)}
    assert [line.split()[0] for line in kith("sim", "--list").out.splitlines()] == list(PROFILES)


def test_the_trace_of_one_node_is_part_of_the_trace_of_all(kith: Type, tmp_path: Path) -> None:
    everyone, one = tmp_path / "all", tmp_path / "n1"
    kith("sim", "--seed", "1", *TINY, "--trace", str(everyone))
    kith("sim", "--seed", "1", *TINY, "--trace", str(one), "--trace-node", "n1")

    lines = everyone.read_text().splitlines()
    chosen = [line for line in lines if line.split()[1] in {"n1", "fault"}]
    assert len(lines) > len(chosen) > 10
    assert one.read_text().splitlines() == chosen


def test_a_trace_changes_nothing_of_the_run(kith: Type) -> None:
    plain, traced = (
        kith("sim", "--seed", "1", *TINY),
        kith("sim", "--seed", "1", *TINY, "--trace", "-", "--trace-lines-max", "5"),
    )
    lines = traced.out.splitlines()
    assert lines[5].startswith("# cut after 5 lines, ")
    assert lines[6:] == plain.out.splitlines()


def test_a_reader_of_the_trace_may_stop_reading() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            command("sim", "--seed", "1", *TINY, "--trace", "-"),
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=ENDED_WITHIN_S,
            check=False,
        )
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("seed", "code", "word"),
    [
        (1, 0, "VALID"),
        (INVALID_SEED, 1, "INVALID"),
        (RAISING_SEED, 1, "RAISED"),
        (UNKNOWN_SEED, 2, "UNKNOWN"),
    ],
)
def test_the_exit_code_is_the_verdict(
    kith: Type, monkeypatch: pytest.MonkeyPatch, seed: int, code: int, word: str
) -> None:
    monkeypatch.setattr(sim, "perform", perform_by_seed)
    typed = kith("sim", "--seed", str(seed))
    assert typed.code == code
    assert typed.out.startswith(f"{word}  seed {seed}: ")


def test_an_exception_in_the_core_is_a_failure_of_that_seed(
    kith: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("chaos.cli.runs.simulate", broken)
    typed = kith("sim", "--seed", "8")

    assert typed.code == 1
    assert typed.out.startswith("RAISED  seed 8: ZeroDivisionError: by zero\n  replay  kith sim ")
    assert "KITH_DEBUG=1 shows where" in typed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "--seed --seeds --profiles/--list is required"),
        ("--seed 1 --seeds 1..2", "not allowed with argument --seed"),
        ("--seed -1", "--seed"),
        ("--seed 9223372036854775808", "not a whole number from 0 to"),
        ("--seed ²", "not a whole number"),
        ("--seeds 5", "no range of seeds such as 1..100"),
        ("--seeds 5..4", "ends before it begins"),
        ("--seeds 1..x", "not a whole number"),
        ("--seeds 1..1000001", "more than 1,000,000 seeds"),
        ("--seeds 1..2 --jobs 0", "not a whole number from 1 to 64"),
        ("--seeds 1..2 --jobs 65", "not a whole number from 1 to 64"),
        ("--seeds 1..2 --trace x", "--trace means nothing to --seeds"),
        ("--seeds 1..2 --run-max 0s", "is no time at all"),
        ("--seed 1 --jobs 2", "--jobs means nothing to --seed"),
        ("--seed 1 --keep-going", "--keep-going means nothing to --seed"),
        ("--seed 1 --write x", "--write means nothing to --seed"),
        ("--seed 1 --trace-node n1", "--trace-node means nothing to a run without --trace"),
        ("--seed 1 --nodes 4 --trace - --trace-node n4", "its nodes are n0 to n3"),
        ("--seed 1 --trace - --json", "would both be standard output"),
        ("--seed 1 --trace - --trace-lines-max 0", "not a whole number"),
        ("--seed 1 --trace /nonexistent/t", "--trace /nonexistent/t cannot be opened"),
        ("--seeds 1..2 --write /nonexistent/t", "--write /nonexistent/t cannot be opened"),
        ("--seed 1 --for 60", "a duration is a number and a unit"),
        ("--seed 1 --for 1ms", "--for cannot be 0.001s"),
        ("--seed 1 --nodes 1", "--nodes cannot be 1"),
        ("--seed 1 --nodes 10001", "not a whole number from 1 to 10,000"),
        ("--seed 1 --profile wild", "--profile cannot be wild"),
        ("--seeds 1..2 --profile wild", "choose one of swarm, "),
        ("--profiles --nodes 3", "--nodes means nothing to --profiles"),
    ],
)
def test_wrong_usage_is_exit_64_with_a_remedy(
    kith: Type, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    typed = kith("sim", *words.split())
    assert (typed.code, said in typed.err) == (64, True), typed.err
    assert len(typed.err.splitlines()) == 2, "what is wrong, and what to do"

    assert chaos_main(["sim", *words.split()]) == 64
    assert capsys.readouterr().err.splitlines()[0] == typed.err.splitlines()[0]


def test_wrong_usage_as_json_is_a_document_too(
    kith: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = kith("sim", "--seed", "x", "--json")
    document = json.loads(typed.out)
    assert document["error"]["code"] == "usage"

    chaos_main(["sim", "--seed", "x", "--json"])
    assert json.loads(capsys.readouterr().out) == document


def test_options_that_ask_a_node_mean_nothing_here(kith: Type) -> None:
    assert kith("--api", "http://127.0.0.1:1", "sim", "--seed", "1").code == 64


def test_the_simulator_runs_without_the_node() -> None:
    code = "import sys, chaos.__main__; print(sorted({'node', 'storage', 'trio'} & {*sys.modules}))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


def test_python_m_chaos_prints_what_kith_prints(
    kith: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("sim", "--seed", "1", *TINY)
    code = chaos_main(words)
    assert (code, capsys.readouterr().out) == (0, kith(*words).out)


def test_a_real_sweep_is_valid(kith: Type) -> None:
    typed = kith("sim", "--seeds", "1..4", "--jobs", "2", *TINY)
    assert typed.code == 0
    assert typed.out.endswith("\nVALID  seeds: 4 valid\n")


def test_a_watched_run_and_a_watched_sweep_show_bars_beside_the_data() -> None:
    code, out, seen = on_a_terminal("sim", "--seed", "1", *TINY)
    assert (code, out.splitlines()[0][:5]) == (0, b"VALID")
    assert b"virtual s" in seen

    code, out, seen = on_a_terminal("sim", "--seeds", "1..3", "--jobs", "1", *TINY)
    assert (code, out.splitlines()[-1]) == (0, b"VALID  seeds: 3 valid")
    assert b"seeds/s, 0 failed" in seen
    assert b"\x1b" not in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_with_its_workers_and_says_what_there_is(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    fifo = tmp_path / "lines"
    os.mkfifo(fifo)
    with (
        subprocess.Popen(
            command(*MANY, "--write", str(fifo)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
        fifo.open() as lines,
    ):
        first = json.loads(lines.readline())  # so the sweep is under way
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        # Workers hold these pipes too: they reach their end when all processes have.
        out, err = process.communicate(timeout=ENDED_WITHIN_S)

    assert first["verdict"] == "valid"
    assert process.returncode == code
    assert "Traceback" not in err
    assert out.splitlines()[-1].startswith("UNKNOWN  seeds: ")
    assert "of 100,000 not run to their end" in out


def test_a_failure_is_repeated_by_its_replay_line_and_names_the_mutant() -> None:
    found = run_for_real(
        "sim", "--seed", "3", "--nodes", "5", "--profile", "partitions", "--mutant", "never-repair"
    )
    replay = next(line for line in found.stdout.splitlines() if line.lstrip().startswith("replay"))
    words = replay.split("kith ")[1].split("#")[0].split()

    again = run_for_real(*words)

    assert "--mutant never-repair" in replay
    assert found.returncode == again.returncode == 1
    assert found.stdout == again.stdout


def test_a_mutant_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = run_for_real("sim", "--seed", "1", "--mutant", "no-such-rule")

    assert done.returncode == 64
    assert "never-repair" in done.stderr
