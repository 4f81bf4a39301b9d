"""What one run looks like, to people and to programs."""

import json

import pytest

from chaos.cli import report, tables
from chaos.cli.report import document_of, full_text, json_text, short_text
from chaos.sim.plan import FaultKind
from chaos.sim.swarm import draw

from .situations import faulty, judged, raised

ORIGIN = "at commit abc1234"
FULL = """\
INVALID  seed 7: 12 nodes, profile swarm, 60 s of faults, 30 s at most to converge

world
  membership     lan
  start          all know each other
  links          0.8 to 2 ms, 5.0% of datagrams lost
  clients        4, 4 operations a second in all
  byzantine      n2 forker
  lost for good  n3

injected
  FROM S  UNTIL S  FAULT               WHOM
   8.000   36.000  loss 20.0%          all
   9.250   18.000  crash               n1 n3
  10.000   11.000  bandwidth 2500 B/s  n1
  10.500   11.000  clock-jump -60 s    n1
  11.000   16.000  split               n0-n3 n7 | n4-n6 n8-n11
  12.000   13.000  one-way             n0 -x-> n1

latencies, in seconds unless a name says otherwise
  LATENCY     COUNT     P50     P90     P99     MAX
  update_all      2  0.0040  0.0040  0.0040  0.0040
  heal            0       -       -       -       -

checkers
  INVARIANT  CHECKER       VERDICT  CASES  WITNESS
  P1         set_full      valid      120
  P2         resurrection  invalid     30  n3 shows n1/web/w1 at 12.5 s
  P10        repeats       unknown      0

figures of the checkers
  set_full.visible_p99_s  0.25

counts
  datagrams            123,456
  messages_node_s_max    12.25

  trace hash  abababababababababababababababab
  replay      kith sim --seed 7 --nodes 12 --profile swarm   # at commit abc1234
INVALID  checkers: 1 valid, 1 invalid, 1 unknown"""
SHORT = """\
INVALID  seed 7: 12 nodes, profile swarm, 60 s of faults, 30 s at most to converge
  INVARIANT  CHECKER       VERDICT  CASES  WITNESS
  P2         resurrection  invalid     30  n3 shows n1/web/w1 at 12.5 s
  trace hash  abababababababababababababababab
  replay      kith sim --seed 7 --nodes 12 --profile swarm   # at commit abc1234
INVALID  checkers: 1 valid, 1 invalid, 1 unknown"""


def test_a_report_tells_everything_with_the_verdict_first_and_last() -> None:
    assert full_text(faulty(), ORIGIN) == FULL


def test_a_short_report_names_what_failed_and_how_to_see_it_again() -> None:
    assert short_text(faulty(), ORIGIN) == SHORT


def test_a_run_without_faults_says_so() -> None:
    assert "injected\n  nothing\n" in full_text(judged(), ORIGIN)


def test_an_exception_is_reported_with_its_seed_and_its_replay() -> None:
    assert full_text(raised(), ORIGIN) == (
        "RAISED  seed 13: RuntimeError: boom\n"
        "  replay  kith sim --seed 13 --profile swarm   # at commit abc1234"
    )


def test_the_document_holds_the_same_in_fixed_keys() -> None:
    document = json.loads(json_text(document_of(faulty(), ORIGIN)))

    assert list(document) == [
        "seed", "profile", "verdict", "replay", "origin", "trace_hash", "nodes", "virtual_s",
        "warm_s", "findings", "latencies", "counts", "plan",
    ]  # fmt: skip
    assert document["verdict"] == "invalid"
    assert document["replay"] == "kith sim --seed 7 --nodes 12 --profile swarm"
    assert document["findings"][1] == {
        "invariant": "P2",
        "checker": "resurrection",
        "verdict": "invalid",
        "cases": 30,
        "witness": "n3 shows n1/web/w1 at 12.5 s",
        "figures": {},
    }
    assert document["latencies"]["heal"] == {
        "count": 0, "p50": None, "p90": None, "p99": None, "max": None
    }  # fmt: skip
    assert document["plan"]["faults"][0]["kind"] == "split"
    assert document["plan"]["villains"] == [[2, "forker"]]


def test_an_exception_is_a_document_too() -> None:
    document = json.loads(json_text(document_of(raised(), ORIGIN)))

    assert document == {
        "seed": 13,
        "profile": "swarm",
        "verdict": "raised",
        "replay": "kith sim --seed 13 --profile swarm",
        "origin": ORIGIN,
        "error": "RuntimeError: boom",
    }


def test_every_fault_that_is_drawn_with_an_amount_has_a_unit() -> None:
    drawn = [fault for seed in range(300) for fault in draw(seed).faults if fault.amount]

    kinds = {fault.kind for fault in drawn}
    assert len(kinds) > 5
    assert [kind for kind in FaultKind if kind in kinds and kind not in report.UNITS] == []


def test_many_nodes_are_named_as_ranges_and_then_counted() -> None:
    assert tables.names_of([3, 0, 1, 2, 7]) == "n0-n3 n7"
    assert tables.names_of(range(1_000)) == "n0-n999"
    assert tables.names_of(range(0, 100, 2)) == "n0 n2 n4 n6 n8 n10 n12 n14 … (50 nodes)"


@pytest.mark.parametrize(
    ("value", "text"), [(1_234_567, "1,234,567"), (0.25, "0.25"), (1 / 3, "0.3333"), (-2.0, "-2")]
)
def test_numbers_are_as_short_as_they_can_be(value: float, text: str) -> None:
    assert tables.number(value) == text


def test_what_a_run_says_cannot_steer_the_terminal() -> None:
    assert tables.plain("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
