"""The trials themselves: that they judge what they say, and the same every time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.trial.__main__ import main
from chaos.trial.figures import NEVER, Figures, measure, quantile
from chaos.trial.judge import Case, judge, run
from chaos.trial.network import Opinion
from chaos.trial.scenario import KINDS, Scenario
from chaos.trial.swim import SwimWorld
from chaos.trial.world import World, size_bytes
from protocol.detector.config import MembershipConfig
from protocol.detector.detection import Heartbeat

ROOT = Path(__file__).parents[3]


def a_case(text: str, *, nodes: int = 8, protocol: str = "kith", loss: float = 0.1) -> Case:
    return Case(protocol, nodes, Scenario.parse(text), loss, MembershipConfig())


def figures_of(text: str, opinions: list[Opinion], *, size: int = 4) -> Figures:
    """Judge these changes of mind as if they had happened in that scenario."""
    case = a_case(text, nodes=size)
    world = World(size, seed=1)
    world.opinions = opinions
    return measure(world, case.scenario, case.timeline())


@pytest.mark.parametrize("protocol", ["kith", "swim"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_scenario_runs_under_both_protocols(kind: str, protocol: str) -> None:
    figures = run(a_case(f"{kind}:.25", nodes=5, protocol=protocol), 101)

    assert figures.runs == 1
    assert figures.idle > 1


def test_the_same_seeds_give_the_same_table_in_any_process() -> None:
    def table(hash_seed: str, jobs: str) -> str:
        command = [sys.executable, "-m", "chaos.trial", "--json", "--nodes", "8", "--jobs", jobs]
        command += ["--scenario", "split:.5,lie:.125", "--seeds", "101..102"]
        command += ["--protocol", "kith,swim"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    assert table("1", "1") == table("2", "2")


def test_other_seeds_give_other_figures() -> None:
    case = a_case("split:.5")

    assert run(case, 101).seen_s == run(case, 101).seen_s
    assert run(case, 101).seen_s != run(case, 102).seen_s


def test_who_ought_to_notice_and_when_it_did_is_counted_from_the_fault() -> None:
    seen = [Opinion(21.5, 0, 3, away=True, dead=False), Opinion(34.2, 0, 3, away=False, dead=False)]

    figures = figures_of("split:.5", seen)

    assert sorted(figures.seen_s)[:2] == [1.5, NEVER]
    assert figures.held == 1
    assert figures.healed_s == [pytest.approx(0.2)]
    assert figures.wrong_pairs == 0


def test_a_flag_on_a_healthy_member_is_counted_with_how_long_it_stood() -> None:
    wrong = [
        Opinion(25.0, 0, 1, away=True, dead=False),
        Opinion(26.5, 0, 1, away=False, dead=False),
    ]
    buried = [Opinion(25.0, 1, 0, away=True, dead=True)]

    figures = figures_of("split:.5", [*wrong, *buried])

    assert (figures.wrong_pairs, figures.linked_pairs, figures.dead) == (2, 2, 1)
    assert figures.wrong_longest_s == pytest.approx(44.0 - 25.0)


def test_pairs_without_a_link_are_told_from_those_with_one() -> None:
    apart = [Opinion(25.0, 1, 3, away=True, dead=False)]

    figures = figures_of("bridge", apart)

    assert (figures.wrong_pairs, figures.linked_pairs) == (1, 0)


def test_figures_of_several_runs_add_up() -> None:
    cases = [a_case("crash:1"), a_case("quiet")]
    done: list[int] = []

    results = list(judge(cases, [101, 102], jobs=1, done=lambda: done.append(1)))

    assert [case for case, _ in results] == cases
    assert [figures.runs for _, figures in results] == [2, 2]
    assert len(results[0][1].seen_s) == 2 * 7
    assert len(done) == 4
    one, other = run(cases[1], 101), run(cases[1], 102)
    assert results[1][1].idle == pytest.approx((one.idle + other.idle) / 2)


def test_a_quantile_of_nothing_is_no_number() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert str(quantile([], 0.5)) == "nan"


def test_the_control_sees_a_crash_within_its_suspicion() -> None:
    world = SwimWorld(8, seed=1)
    world.run(20.0)
    world.crash(0)
    world.run(60.0)

    assert {o.observer for o in world.opinions if o.away and o.subject == 0} == set(range(1, 8))
    assert all(24.0 < o.at < 45.0 for o in world.opinions)


def test_a_heartbeat_has_the_size_of_the_real_one() -> None:
    assert size_bytes(Heartbeat(1, 1)) <= 64


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scenario", "flood"], "no scenario 'flood'"),
        (["--protocol", "raft"], "no protocol 'raft'"),
        (["--seeds", "9..1"], "no seed"),
        (["--nodes", "1"], "two nodes"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64
    assert complaint in capsys.readouterr().err


def test_a_line_of_json_says_never_as_null(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--scenario", "crash:1", "--nodes", "3", "--seeds", "101"]) == 0

    values = json.loads(capsys.readouterr().out)
    assert values["protocol"] == "kith"
    assert values["seen_s_p50"] > 0
    assert values["healed_s_p50"] is None
