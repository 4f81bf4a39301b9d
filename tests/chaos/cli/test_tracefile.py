"""The trace: bounded, one event a line, for all nodes or for some."""

import os
from pathlib import Path

import pytest

from chaos.cli.errors import CommandError
from chaos.cli.tracefile import LINES_MAX_DEFAULT, trace_to


def written(
    path: Path, *events: tuple[float, str, str], nodes: tuple[str, ...] = (), lines_max: int = 100
) -> str:
    """What stands in the file after these events."""
    with trace_to(str(path), nodes=nodes, lines_max=lines_max) as sink:
        for at_s, node, text in events:
            sink.line(at_s, node, text)
    return path.read_text(encoding="utf-8")


def test_an_event_is_a_line_of_time_node_and_text(tmp_path: Path) -> None:
    text = written(
        tmp_path / "t", (0.25, "n1", "ready"), (12.0, "n10", "send heartbeat 90 B to n1")
    )
    assert text == ("    0.250000 n1     ready\n   12.000000 n10    send heartbeat 90 B to n1\n")


def test_an_event_cannot_break_out_of_its_line(tmp_path: Path) -> None:
    assert written(tmp_path / "t", (1.0, "n1", "a\nb")) == "    1.000000 n1     a\\x0ab\n"


def test_chosen_nodes_are_shown_alone_with_the_faults(tmp_path: Path) -> None:
    events = [(1.0, name, "x") for name in ("n1", "n2", "n3", "fault")]
    lines = written(tmp_path / "t", *events, nodes=("n2", "n3")).splitlines()
    assert [line.split()[1] for line in lines] == ["n2", "n3", "fault"]


def test_a_full_file_says_how_much_is_missing(tmp_path: Path) -> None:
    events = [(float(number), "n1", "x") for number in range(5)]

    assert len(written(tmp_path / "t", *events, lines_max=5).splitlines()) == 5
    lines = written(tmp_path / "t", *events, lines_max=4).splitlines()

    assert len(lines) == 5
    assert lines[-1].startswith("# cut after 4 lines, 1 left out: ")


def test_a_file_that_cannot_be_opened_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be opened: No such file") as caught:
        written(tmp_path / "none" / "t")
    assert caught.value.exit_code == 64


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: no /dev/full here")
def test_a_full_disk_ends_the_run_with_a_sentence() -> None:
    with pytest.raises(CommandError, match="cannot be written: No space left") as caught:
        written(Path("/dev/full"), (1.0, "n1", "x"))
    assert caught.value.exit_code == 2


def test_what_was_traced_before_an_exception_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t"

    def run_that_raises() -> None:
        with trace_to(str(path), nodes=(), lines_max=LINES_MAX_DEFAULT) as sink:
            sink.line(1.0, "n1", "the last thing")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run_that_raises()
    assert "the last thing" in path.read_text()


def test_a_reader_that_left_is_told_as_such_and_not_as_a_full_disk() -> None:
    read, write = os.pipe()
    os.close(read)
    with (
        pytest.raises(BrokenPipeError),
        trace_to(f"/dev/fd/{write}", nodes=(), lines_max=10) as sink,
    ):
        sink.line(1.0, "n1", "x")
    os.close(write)
