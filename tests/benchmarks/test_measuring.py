"""What is the same of all suites: how they speak, and how they end."""

import signal
from collections.abc import Iterator

import pytest

from benchmarks.measuring import INTERRUPTED, NOT_RUN, cut_short_by, end_on, say, scratch


class OutOfLuckError(Exception):
    """It cannot go on."""


def run_out_of_luck() -> None:
    raise OutOfLuckError("no dice")


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("half of it is done")

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("[")
    assert told.err.endswith(" s] half of it is done\n")


def test_what_comes_to_its_end_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with cut_short_by(OutOfLuckError) as ending:
        pass

    assert ending.code == 0
    assert capsys.readouterr().err == ""


def test_an_error_that_was_named_is_said_and_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with cut_short_by(OutOfLuckError, OSError) as ending:
        run_out_of_luck()

    assert ending.code == NOT_RUN
    assert "cannot go on: no dice" in capsys.readouterr().err


def test_an_error_that_was_not_named_is_one_of_the_suite() -> None:
    with pytest.raises(ZeroDivisionError), cut_short_by(OutOfLuckError):
        raise ZeroDivisionError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_were_named_end_it_as_ctrl_c_does(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    end_on(number)

    with cut_short_by() as ending:
        signal.raise_signal(number)

    assert ending.code == INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


def test_a_folder_for_data_is_gone_even_if_it_was_cut_short() -> None:
    with cut_short_by(OutOfLuckError), scratch() as folder:
        (folder / "kith.log").touch()
        run_out_of_luck()

    assert not folder.exists()
