"""What is said of a climb: what was borne, what broke, what was felt first."""

import pytest

from chaos.reports.series.climb import cells_of, columns_of
from chaos.verdict import Verdict

from .situations import RATES, a_climb

GOOD, BAD, ODD = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdicts", "borne", "verdict", "said"),
    [
        ((GOOD, GOOD, BAD), "30 %", GOOD,
         "with 50 % of packets lost it broke “no live node taken for gone for longer than 4 s”:"),
        ((GOOD, ODD), "10 %", ODD, "the run with 30 % of packets lost proves nothing: no live"),
        ((BAD,), "", BAD, "Not even the lowest rate was borne: with 10 % of packets lost it broke"),
        ((ODD,), "", ODD, "Not even the lowest rate was borne: the run with 10 %"),
        ((GOOD,) * 4, "70 %", GOOD,
         "It holds with 70 % of packets lost, the highest rate that was tried; nothing broke."),
        ((GOOD, GOOD), "30 %", GOOD, "it was ended there, and higher rates were not tried."),
        ((), "", ODD, "Nothing was tried."),
    ],
)  # fmt: skip
def test_the_result_names_the_last_rate_that_held_and_what_came_then(
    verdicts: tuple[Verdict, ...], borne: str, verdict: Verdict, said: str
) -> None:
    climb = a_climb(*verdicts)

    assert (climb.borne, climb.verdict) == (borne, verdict)
    assert said in climb.result


def test_an_invariant_is_named_with_what_it_promises() -> None:
    climb = a_climb(GOOD, BAD, reason="P1 (set_full): d/shop-1/d-1 is lost")

    assert "it broke “P1, What was acknowledged is seen by every node" in climb.result
    assert climb.result.endswith("”: d/shop-1/d-1 is lost")


def test_what_was_felt_first_is_told_though_it_broke_nothing() -> None:
    climb = a_climb(GOOD, GOOD, GOOD, GOOD)

    gone, short = climb.signs
    assert gone.startswith(
        "First with 50 % of packets lost: live nodes were taken for gone, 5 times"
    )
    assert gone.endswith(", for 0.990 s at most.")
    assert short == "First with 50 % of packets lost: 3 updates were not everywhere within 10 s."
    climb.steps[2].figures["gone_count"] = 1
    assert "a live node was taken for gone, once, for 0.990 s at most." in climb.signs[0]
    climb.nobody_gone = False
    assert len(climb.signs) == 1, "those who were gone were gone"
    assert a_climb(GOOD, GOOD).signs == []


def test_a_figure_that_no_step_measured_has_no_column() -> None:
    climb = a_climb(GOOD, GOOD)
    names = [one.name for one in columns_of(climb)]

    assert "noticed_max_s" not in names
    assert "gone_longest_s" not in names
    assert cells_of(climb, climb.steps[0])[0] == "4 ms"
    assert len(cells_of(climb, climb.steps[0])) == len(names)
    assert climb.rates == RATES
