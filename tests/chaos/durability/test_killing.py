"""kill -9, a few rounds of it; and the command around it."""

import json
from pathlib import Path

import pytest

from chaos.durability import __main__ as command
from chaos.durability.killing import KillLoop, Round, play

ROUNDS = 3
pytestmark = pytest.mark.slow


def rounds(directory: Path, count: int, *options: str) -> list[Round]:
    loop = KillLoop(directory, 4, options)
    with loop.nodes:
        return play(loop, count, lambda _: None)


def test_what_was_acknowledged_survives_kill_9_once_and_everywhere(tmp_path: Path) -> None:
    played = rounds(tmp_path, ROUNDS)

    assert [one.violations for one in played] == [[]] * ROUNDS
    assert all(one.acknowledged and one.open and one.repeated for one in played)
    assert [one.queues for one in played] == [2 * (len(one.victims) > 1) for one in played]
    assert any(one.queues and one.waiting >= one.queues for one in played)


def test_a_node_that_acknowledges_before_it_writes_is_found_out(tmp_path: Path) -> None:
    played = rounds(tmp_path, ROUNDS, "--unsafe-no-sync")

    assert any("on the disk of" in what for one in played for what in one.violations)


def test_the_command_says_with_its_exit_code_that_nothing_was_tried(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["kill", "--rounds", "0", "--json"]) == 2
    out, _ = capfd.readouterr()
    assert json.loads(out)["verdict"] == "unknown"


@pytest.mark.parametrize("words", [["kill", "--rounds", "-1"], ["sweep", "--start", "x"], []])
def test_wrong_usage_is_told_apart(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 64
    assert "usage" in capfd.readouterr().err
