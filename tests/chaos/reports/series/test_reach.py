"""What is said of single failures: who noticed, who did not, what clients felt."""

from dataclasses import replace

from chaos.reports.series.reach import HEADINGS, cells_of
from chaos.verdict import Verdict

from .situations import a_blast, an_effect


def test_failures_that_all_noticed_are_told_by_the_slowest() -> None:
    blast = a_blast(an_effect("a", b=0.7, c=0.8, d=1.25), an_effect("b", a=0.6, c=0.7, d=0.7))

    assert blast.verdict is Verdict.VALID
    assert blast.result == (
        "Each of 2 failures was noticed by all others, within 1.25 s (a, kill). No client of "
        "another node felt any of them."
    )


def test_who_noticed_nothing_is_named() -> None:
    blast = a_blast(
        an_effect("a", b=0.7, c=0.8, d=0.9), an_effect("b", "pause", a=0.6),
        replace(an_effect("c", "pause"), lookups_failed=2, writes_failed=1),
    )  # fmt: skip

    assert "1 of 3 failures noticed by all others, within 0.900 s (a, kill)." in blast.result
    assert "Not by all: b (pause), c (pause)." in blast.result
    assert "Clients of other nodes had 2 lookups and 1 writes fail." in blast.result
    assert a_blast(an_effect()).result.startswith("No failure was noticed by anybody.")


def test_the_worst_run_is_the_verdict_invalid_before_unknown() -> None:
    good = an_effect("a", b=0.7, c=0.8, d=0.9)
    odd = replace(good, verdict=Verdict.UNKNOWN, reason="kill could not be done")
    bad = replace(good, verdict=Verdict.INVALID, reason="P5: too late")

    assert a_blast(good, odd).verdict is Verdict.UNKNOWN
    assert a_blast(good, odd, bad).verdict is Verdict.INVALID
    assert "a, kill: unknown, kill could not be done." in a_blast(good, odd, bad).result
    assert a_blast().verdict is Verdict.UNKNOWN
    assert a_blast().result == "Nothing was tried."


def test_one_that_was_ended_says_so() -> None:
    blast = a_blast(an_effect("a", b=0.7, c=0.8, d=0.9))
    blast.planned, blast.interrupted = 16, True

    assert blast.result.endswith("It was ended after 1 of 16 failures.")


def test_every_heading_has_a_cell() -> None:
    cells = dict(zip(HEADINGS, cells_of(an_effect("b", a=0.5, c=0.75)), strict=True))

    assert (cells["noticed by"], cells["not by"], cells["first"]) == ("a c", "d", "0.500 s")
    assert (cells["last"], cells["back again"]) == ("0.750 s", "0.400 s")
    assert cells_of(an_effect())[3:6] == ("nobody", "–", "–")
