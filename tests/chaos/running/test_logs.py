"""What is found in a node's log."""

from pathlib import Path

from chaos.running.logs import Log, Trouble, read_log

LOG = """kith: warning: the HTTP API listens without a token
{"time":"2026-01-01T00:00:00.000Z","mono_ns":1000000000,"level":"info","event":"node_ready"}
{"mono_ns":2500000000,"level":"error","event":"write_failed","exception":"OSError: no space"}
{"mono_ns":2400000000,"level":"info","event":"written_by_another_thread"}
{"mono_ns":4000000000,"level":"error","event":"disk_full"}
{"mono_ns": broken
Traceback (most recent call last):
"""


def log_of(directory: Path, text: str) -> Log:
    path = directory / "a.log"
    path.write_text(text)
    return read_log("a", path)


def test_a_moment_has_the_first_line_at_or_after_it(tmp_path: Path) -> None:
    log = log_of(tmp_path, LOG)

    assert log.file == "a.log"
    assert [log.line_at(at_s) for at_s in (0.0, 1.0, 1.1, 2.5, 3.0, 4.1)] == [2, 2, 3, 3, 5, 0]


def test_errors_are_told_with_their_exception_and_tracebacks_as_they_are(tmp_path: Path) -> None:
    assert log_of(tmp_path, LOG).troubles == [
        Trouble("a", 3, 2.5, "write_failed", "OSError: no space"),
        Trouble("a", 5, 4.0, "disk_full", ""),
        Trouble(
            "a", 7, 0.0, "Traceback (most recent call last):", "Traceback (most recent call last)"
        ),
    ]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_log("a", tmp_path / "none.log") == Log("none.log")
