"""Many seeds: what stops a sweep, what it adds up to, what it writes."""

import json
from pathlib import Path

import pytest

from chaos.cli import sim
from chaos.cli.tally import FAILURES_KEPT_MAX, SEEDS_SHOWN_MAX, Tally
from chaos.sim.result import spread
from node.cli import main

from .situations import (
    BAD_FINDING,
    EMPTY_FINDING,
    INVALID_SEED,
    RAISING_SEED,
    UNKNOWN_SEED,
    VALID_FINDING,
    Type,
    judged,
    perform_by_seed,
    raised,
)

SUMMARY = """\
checkers, by runs
  INVARIANT  CHECKER       VALID  INVALID  UNKNOWN  CASES
  P1         set_full          3        0        0    360
  P2         resurrection      0        1        0     30
  P10        repeats           0        0        2      0

latencies over runs, in seconds: of the medians (p50) and of the maxima (max)
  LATENCY     RUNS  COUNT  P50:P50  P50:P90  P50:P99  P50:MAX  MAX:P50  MAX:P90  MAX:P99  MAX:MAX
  update_all     3      7   0.0030   0.0090   0.0090   0.0090   0.0040   0.0090   0.0090   0.0090

INVALID  seeds: 2 valid, 1 invalid, 1 raised; 6 of 10 not run to their end"""


@pytest.fixture
def by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end as their seed says."""
    monkeypatch.setattr(sim, "perform", perform_by_seed)


def test_runs_add_up_to_verdicts_checkers_and_latencies() -> None:
    tally = Tally(seeds=10)

    tally.add(judged(seed=1, latencies={"update_all": spread([0.001, 0.003, 0.004])}))
    tally.add(judged(seed=2, latencies={"update_all": spread([0.002, 0.002, 0.002])}))
    tally.add(judged(VALID_FINDING, BAD_FINDING, seed=3, latencies={"update_all": spread([0.009])}))
    tally.add(raised(4))

    assert tally.text() == SUMMARY
    assert tally.exit_code() == 1


def test_a_sweep_is_valid_only_if_every_seed_was() -> None:
    tally = Tally(seeds=2)
    tally.add(judged(seed=1))
    assert (tally.word, tally.exit_code()) == ("unknown", 2)
    tally.add(judged(seed=2))
    assert (tally.word, tally.exit_code()) == ("valid", 0)


def test_seeds_that_judged_nothing_are_no_pass_and_are_named() -> None:
    tally = Tally(seeds=SEEDS_SHOWN_MAX + 1)
    for seed in range(SEEDS_SHOWN_MAX + 1, 0, -1):
        tally.add(judged(EMPTY_FINDING, seed=seed))

    assert tally.exit_code() == 2
    assert tally.unknown_seeds == list(range(1, SEEDS_SHOWN_MAX + 1))
    assert "seeds that judged nothing, the first\n  1 2 3 4 5 6 7 8 9 10\n" in tally.text()


def test_only_so_many_failures_are_kept_and_all_are_counted() -> None:
    tally = Tally(seeds=1_000)
    for seed in range(FAILURES_KEPT_MAX + 1):
        tally.add(raised(seed))
    assert (len(tally.failures), tally.failed) == (FAILURES_KEPT_MAX, FAILURES_KEPT_MAX + 1)


@pytest.mark.usefixtures("by_seed")
def test_a_sweep_without_failure_is_exit_0(kith: Type) -> None:
    typed = kith("sim", "--seeds", "1..6", "--jobs", "2")
    assert typed.code == 0
    assert typed.out.endswith("\nVALID  seeds: 6 valid\n")
    assert "runs a second" in typed.err


@pytest.mark.usefixtures("by_seed")
@pytest.mark.parametrize(
    ("seed", "said"),
    [(INVALID_SEED, "n3 shows n1/web/w1 at 12.5 s"), (RAISING_SEED, "RuntimeError: boom")],
)
def test_a_sweep_stops_at_the_first_failure_and_says_how_to_replay_it(
    kith: Type, seed: int, said: str
) -> None:
    typed = kith("sim", "--seeds", f"{seed}..{seed + 50_000}", "--jobs", "1")

    assert typed.code == 1
    assert said in typed.out
    assert f" kith sim --seed {seed} " in typed.out
    assert "50,000 of 50,001 not run to their end\n" in typed.out


@pytest.mark.usefixtures("by_seed")
def test_keep_going_runs_all_and_tells_of_each_failure(kith: Type) -> None:
    typed = kith("sim", "--seeds", "12..18", "--jobs", "2", "--keep-going")
    assert typed.code == 1
    assert "RAISED  seed 13: " in typed.out
    assert "INVALID  seed 17: " in typed.out
    assert typed.out.endswith("\nINVALID  seeds: 5 valid, 1 invalid, 1 raised\n")


@pytest.mark.usefixtures("by_seed")
def test_a_seed_that_judged_nothing_makes_the_sweep_exit_2(kith: Type) -> None:
    typed = kith("sim", "--seeds", f"{UNKNOWN_SEED - 1}..{UNKNOWN_SEED}", "--jobs", "1")
    assert typed.code == 2
    assert typed.out.endswith("\nUNKNOWN  seeds: 1 valid, 1 unknown\n")


@pytest.mark.usefixtures("by_seed")
def test_a_traceback_shows_on_request_only(
    kith: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("sim", "--seeds", f"{RAISING_SEED}..{RAISING_SEED}")
    assert "KITH_DEBUG=1 shows where" in kith(*words).err

    monkeypatch.setenv("KITH_DEBUG", "1")
    main(words)
    assert "Traceback …\n" in capsys.readouterr().err


@pytest.mark.usefixtures("by_seed")
def test_a_sweep_as_json_is_one_document(kith: Type) -> None:
    typed = kith("sim", "--seeds", "12..18", "--jobs", "2", "--keep-going", "--json")

    document = json.loads(typed.out)
    assert document["verdict"] == "invalid"
    assert document["verdicts"] == {"valid": 5, "invalid": 1, "unknown": 0, "raised": 1}
    assert (document["first_seed"], document["last_seed"], document["ended"]) == (12, 18, 7)
    assert document["checkers"][0] == {
        "invariant": "P1",
        "checker": "set_full",
        "valid": 6,
        "invalid": 0,
        "unknown": 0,
        "cases": 720,
    }
    assert document["latencies"]["update_all"]["max"]["max"] == 0.004
    assert [failure["seed"] for failure in document["failures"]] == [13, 17]


@pytest.mark.usefixtures("by_seed")
def test_every_seed_leaves_one_line_in_the_file_behind_what_was_there(
    kith: Type, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"seed": 0}\n')

    kith("sim", "--seeds", "11..14", "--keep-going", "--write", str(path))

    documents = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(document["seed"] for document in documents) == [0, 11, 12, 13, 14]
    assert all("real_s" in document for document in documents[1:])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: no /dev/full here")
@pytest.mark.usefixtures("by_seed")
def test_a_full_disk_ends_the_sweep_with_a_sentence(kith: Type) -> None:
    typed = kith("sim", "--seeds", "1..9", "--write", "/dev/full")
    assert typed.code == 2
    assert "--write /dev/full cannot be written: No space left on device" in typed.err
