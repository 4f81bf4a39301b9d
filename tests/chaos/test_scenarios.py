"""Golden scenarios are what happens now, and their language does what it says."""

from pathlib import Path

import pytest

from chaos.sim.scenario import ScenarioError, difference, main, play, steps_of

FOLDER = Path(__file__).parents[1] / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.txt"))
REWRITE = "python -m chaos.sim.scenario --rewrite tests/scenarios/*.txt"
LINES_MAX = 150


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_happens_is_what_was_kept(path: Path) -> None:
    kept = path.read_text(encoding="utf-8")

    changes = difference(kept, play(kept), path.name)

    assert changes == [], "\n".join([*changes, "", f"if that is right: {REWRITE}"])


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows_and_can_be_read(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert lines[0].startswith("# ")
    assert len(lines) <= LINES_MAX
    assert max(len(line) for line in lines) <= 120


def test_rewriting_twice_changes_nothing() -> None:
    once = play("# Two nodes.\n\ncluster 2\nshow push\nregister n0 web web-1\nrun 1s\nroots\n")

    assert "n0 send push n0.2 to n1" in once
    assert play(once) == once


def test_outputs_are_no_commands_and_everything_else_is_kept() -> None:
    text = "# A comment.\n\nnodes 2\n      0.000  what was said before\nroots  \n"

    assert [step.line for step in steps_of(text)] == ["# A comment.", "", "nodes 2", "roots"]
    assert [step.command for step in steps_of(text)] == ["", "", "nodes 2", "roots"]


def test_another_seed_is_another_run_and_the_same_one_is_the_same() -> None:
    story = "cluster 4 seed {}\nshow push applied\nregister n0 web web-1\nrun 1s\n"

    assert play(story.format(1)) == play(story.format(1))
    assert play(story.format(1)).splitlines()[1:] != play(story.format(2)).splitlines()[1:]


def test_only_what_is_asked_for_is_shown_and_the_rest_of_the_traffic_is_counted() -> None:
    story = "cluster 3\nshow applied on n2\nregister n0 web web-1\nrun 500ms\n"

    lines = play(story).splitlines()

    shown = [line.split(maxsplit=1)[1] for line in lines if line.endswith("applied n0.2")]
    assert shown == ["n2 applied n0.2"]
    assert lines[-1].split(":")[0].strip() == "not shown"
    assert "3 heartbeat" in lines[-1]


@pytest.mark.parametrize(
    ("story", "number", "reason"),
    [
        ("run 1s\n", 1, "there are no nodes yet"),
        ("nodes 2\n    old\nfly n0\n", 3, "no command 'fly n0'"),
        ("nodes 99\n", 1, "no number that fits"),
        ("nodes 2\nshow colours\n", 2, "nothing is called colours"),
        ("nodes 2\nrun quickly\n", 2, "'quickly' is no time"),
        ("nodes 2\nstart n7\n", 2, "there is no node 'n7'"),
        ("nodes 2\ncrash n0\n", 2, "n0 cannot crash now"),
        ("cluster 2\nstart n0\n", 2, "n0 cannot start now"),
        ("cluster 2\ndisk n0 wiped\n", 2, "n0 is up"),
        ("cluster 2\ncut n0\n", 2, "say `cut n0 n1 | n2`"),
        ("cluster 2\ninject boredom\n", 2, "no such fault"),
        ("cluster 2\nregister n0 web\n", 2, "say `register n0 web web-1`"),
        ("cluster 2\ntwins n0\n", 2, "n0 is up"),
        ("cluster 2\nfork n0 web web-1\n", 2, "of a node with two faces"),
        ("cluster 2\ncut n0 | n1\nrun 8s\nrotate n0\n", 4, "n0 may not rotate now"),
        ("cluster 2\nsteal n0\n", 2, "name 2 of n0, n1"),
        ("cluster 2\nforge n0 n1 web web-1\n", 2, "n0 has no key of n1"),
        ("cluster 2\nforge n0 n1 web\n", 2, "say `forge n3 n0 web web-9`"),
        ("cluster 2\nedit n0 plan title\n", 2, "say `edit n0 plan title=spring`"),
        ("nodes 2\nmembers n0\n", 2, "n0 is down"),
        ("seed 1 nosuch\n", 1, "profile nosuch is not possible"),
    ],
)
def test_a_command_that_makes_no_sense_is_an_error_that_names_the_line(
    story: str, number: int, reason: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        play(story)

    assert caught.value.number == number
    assert reason in str(caught.value)


def test_a_whole_drawn_run_can_be_a_scenario() -> None:
    assert play("seed 5 calm 3\n").splitlines()[1].strip() == "valid"


def test_every_fault_can_be_injected_and_healed() -> None:
    story = (
        "cluster 3\ninject loss 0.5\ninject clock-jump n1 -60\ninject crash n2\nrun 1s\n"
        "heal\nrun 8s\nmembers n0\nroots\n"
    )

    lines = [line.strip() for line in play(story).splitlines()]

    assert lines[-3] == "n0: n1 alive, n2 alive"
    assert lines[-1] == "n0, n1, n2"


def test_the_command_shows_a_diff_and_rewrites_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.txt"
    path.write_text("cluster 2\nroots\n    something else\n", encoding="utf-8")

    assert main([str(path)]) == 1
    assert "-    something else" in capsys.readouterr().out
    assert main(["--rewrite", str(path)]) == 0
    assert main([str(path)]) == 0
    assert "n0, n1" in path.read_text(encoding="utf-8")


def test_the_command_names_the_file_and_line_of_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("cluster 2\nfly\n", encoding="utf-8")

    assert main(["--rewrite", str(path)]) == 2
    assert "wrong.txt: line 2, 'fly': no command" in capsys.readouterr().err
