"""The pages and texts of climbs and blasts."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.reports import overview
from chaos.reports.series.document import Series
from chaos.reports.series.pages import page_of, write
from chaos.reports.series.text import line_of_effect, line_of_step, text_of_blast, text_of_climb
from chaos.verdict import Verdict
from tests.chaos.reports.test_page import REACHING, Reader, read

from .situations import a_blast, a_climb, an_effect

GOOD, BAD, ODD = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
BLAST = a_blast(an_effect("a", b=0.5, c=0.6, d=0.9), an_effect("b", "pause"))
ALL: tuple[Series, ...] = (
    a_climb(GOOD, GOOD, BAD), a_climb(GOOD, ODD), a_climb(GOOD), a_climb(), BLAST, a_blast(),
)  # fmt: skip


def classes(reader: Reader, element: str) -> list[str]:
    return [found.get("class", "") for name, found in reader.elements if name == element]


@pytest.mark.parametrize("series", ALL)
def test_a_page_stands_alone_and_says_the_result(series: Series) -> None:
    reader = read(page_of(series))

    assert series.result.replace("  ", " ") in reader.text
    assert series.replay in reader.text
    for _, attributes in reader.elements:
        for name in REACHING:
            assert ":" not in attributes.get(name, ""), attributes
    assert all(name != "script" for name, _ in reader.elements)


def test_the_step_at_which_it_broke_is_marked_and_what_was_not_tried_is_grey() -> None:
    broken, odd, whole = (
        classes(read(page_of(one)), "rect")
        for one in (a_climb(GOOD, GOOD, BAD), a_climb(GOOD, ODD), a_climb(*(GOOD,) * 4))
    )

    assert (broken.count("step invalid"), broken.count("step untried")) == (1, 1)
    assert (odd.count("step unknown"), odd.count("step invalid")) == (1, 0)
    assert [kind for kind in whole if kind.startswith("step")] == []


def test_each_step_is_a_point_of_both_curves_and_leads_to_its_run() -> None:
    reader = read(page_of(a_climb(GOOD, GOOD, BAD)))
    paths = [found["d"] for name, found in reader.elements if name == "path"]
    hrefs = [found["href"] for name, found in reader.elements if name == "a"]

    assert [one.count("L") for one in paths] == [2, 2]
    assert classes(reader, "circle").count("point cover-faults") == 6
    assert hrefs[:3] == [f"0{place}-run/report.html" for place in (1, 2, 3)]
    assert "none" in reader.text, "no lookup failed, and that is written"


def test_every_notice_is_a_dot_in_the_row_of_its_failure() -> None:
    reader = read(page_of(BLAST))

    assert classes(reader, "circle").count("dot saw") == 3
    assert classes(reader, "circle").count("dot back") == 1
    assert "not noticed by a c d" in reader.text
    assert "wipe: there are no disks" in reader.text


def test_an_overview_leads_to_climbs_and_blasts(tmp_path: Path) -> None:
    climb = a_climb(GOOD, BAD)
    listed: list[tuple[str, Series]] = [("one/report.html", climb), ("two/report.html", BLAST)]

    reader = read(overview.page_of([], (), listed))

    assert climb.result in reader.text
    assert BLAST.result in reader.text
    assert {"one/report.html", "two/report.html"} <= {
        found["href"] for name, found in reader.elements if name == "a"
    }
    assert write(climb, tmp_path) == tmp_path / "report.html"


def test_the_text_ends_with_the_result() -> None:
    climb = a_climb(GOOD, GOOD, BAD)
    lines = text_of_climb(climb, Path("runs/1/report.html")).splitlines()

    assert lines[0] == "gradual loss: packets lost, on 3 nodes (namespaces)"
    assert lines[4].split()[:3] == ["50", "%", "broke"]
    assert f"RESULT  {climb.result}" in lines
    assert "delay made by  tun" in " ".join(lines)
    assert "runs/1/report.html" in " ".join(lines)
    assert text_of_blast(BLAST).splitlines()[-1] == f"VALID  {BLAST.result}"


def test_a_line_tells_of_each_run_while_it_goes_on() -> None:
    climb = a_climb(GOOD, BAD)

    assert line_of_step(climb, climb.steps[0]).startswith(
        "10 %: holds; update everywhere, median 4 ms, p99 50 ms, not everywhere 0"
    )
    assert "30 %: broke because no live node" in line_of_step(climb, climb.steps[1])
    assert line_of_effect(an_effect("a", b=0.5)) == (
        "a, kill: valid; noticed by b after 0.50 s; 0 lookups and 0 writes with others failed"
    )
    assert "noticed by nobody" in line_of_effect(an_effect())


def test_no_reason_can_steer_the_terminal() -> None:
    climb = a_climb(GOOD, BAD, reason="\x1b[2J")
    blast = a_blast(replace(an_effect("a"), verdict=BAD, reason="\x1b[2J"))

    for text in (text_of_climb(climb), text_of_blast(blast), line_of_step(climb, climb.steps[1])):
        assert all(c.isprintable() or c == "\n" for c in text)
