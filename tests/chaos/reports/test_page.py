"""The page of a run: what is in it, and what must not be."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given

from chaos.reports.logs import excerpts
from chaos.reports.markup import is_beside
from chaos.reports.page import PAGE, page_of, write
from chaos.reports.summary import text_of
from chaos.reports.words import INVARIANTS, NOTHING_TO_JUDGE
from chaos.running.judging import JUDGED
from chaos.running.record import Moment, RunRecord, Said, Seen
from chaos.verdict import Finding, Verdict

from .situations import a_bare_run, a_broken_run, a_run
from .strategies import ANY, RECORDS

VOID = ("meta", "br", "rect", "line", "path", "circle", "polyline", "link")
REACHING = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")


class Reader(HTMLParser):
    """Reads a page: that elements close, what they are, which attributes they have, the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID or self.get_starttag_text() is None:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            assert tag in VOID, f"{tag} closes what is not open: {self.open}"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_says_what_a_reader_wants_to_know_first() -> None:
    record = a_broken_run()

    text = read(page_of(record)).text

    for words in (
        "invalid", record.reason, record.title, record.replay, record.commit, "5 nodes, namespaces",
        "d/shop-1/d-1 is lost, written at 7.20 s", INVARIANTS["P1"], "it took 9.00 s",
        "time to heal 9 s", "updates lost 1", "3.11.7",
        "delay, made by netem, a queue of the kernel for each link",
    ):  # fmt: skip
        assert words in text, words


def test_it_says_why_something_was_not_judged() -> None:
    record = a_run()
    record.findings = [
        Finding("P5", "detection", Verdict.UNKNOWN, 0, unjudged=("2 crashes were over too soon",)),
        Finding("P4", "burial", Verdict.UNKNOWN, 0),
        Finding("P9", "odd", Verdict.UNKNOWN, 0),
        Finding("P3", "roots", Verdict.VALID, 5),
    ]

    text = read(page_of(record)).text

    assert "detection : nothing judged Not judged: 2 crashes were over too soon." in text
    assert "Not judged: nobody was held for unreachable" in text
    assert "Not judged: there was nothing in this run to judge it by." in text
    assert text.count("Not judged:") == 3
    assert "2 crashes were over too soon" in text_of(record)
    assert set(NOTHING_TO_JUDGE) == set(JUDGED)


def test_every_picture_has_a_title_and_a_description_by_id() -> None:
    reader = read(page_of(a_run()))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    pictures = [attributes for name, attributes in reader.elements if name == "svg"]

    assert len(pictures) == 4
    assert len(ids) == len(set(ids))
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert all(name in ids for name in attributes["aria-labelledby"].split())


def test_the_page_asks_nobody_for_anything() -> None:
    page = page_of(a_run())
    reader = read(page)

    assert "script" not in [name for name, _ in reader.elements]
    assert "url(" not in page
    assert "@import" not in page
    for name, attributes in reader.elements:
        for reaching in REACHING:
            assert is_beside(attributes.get(reaching, "x")), (name, attributes)
    assert any(
        "default-src 'none'" in attributes.get("content", "") for _, attributes in reader.elements
    )


def test_what_came_from_nodes_is_text() -> None:
    evil = '<script>alert("x")</script><img src=x onerror=y>'
    record = a_broken_run()
    record.title = record.reason = record.source = record.replay = record.about = evil
    record.said.append(Said(1.0, evil))
    record.nodes = (*record.nodes, evil)
    record.seen.append(Seen(1.0, evil, evil, "dead"))
    record.logs[evil] = "javascript:alert(1)"
    record.moments.append(Moment(1.0, evil, evil, f'"{evil}', 3))
    record.versions[evil] = evil

    reader = read(page_of(record))

    assert not {"script", "img"} & {name for name, _ in reader.elements}
    assert 'alert("x")' in reader.text
    assert not any("javascript" in attributes.get("href", "") for _, attributes in reader.elements)
    assert not any("onerror" in attributes for _, attributes in reader.elements)


@ANY
@given(record=RECORDS)
def test_no_record_breaks_the_page(record: RunRecord) -> None:
    reader = read(page_of(record))

    assert "script" not in [name for name, _ in reader.elements]


def test_a_run_without_anything_says_so() -> None:
    text = read(page_of(a_bare_run())).text

    assert "unknown" in text
    assert "disk-full could not be done" in text
    assert "Nobody was asked what it believed" in text
    assert "No client asked anything" in text
    assert "There were no faults" in text


def test_the_log_around_a_moment_is_shown_with_its_line_marked(tmp_path: Path) -> None:
    record = a_run()
    lines = [
        f'{{"mono_ns":{record.zero_mono_ns + second * 10**9},"event":"tick","level":"info",'
        f'"second":{second}}}'
        for second in range(9)
    ]
    (tmp_path / "a.log").write_text("\n".join(["no json <b>", *lines]))

    page = write(record, tmp_path)

    assert page == tmp_path / PAGE
    assert '<span class="here">     3     1.000 s  tick second=1\n</span>' in page.read_text()
    assert "no json &lt;b&gt;" in page.read_text()
    assert [one.number for one in excerpts(record, tmp_path)[record.moments[0]]] == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]


@pytest.mark.parametrize("log", ["../secret.log", "/etc/hostname", "a\0b", "", "nowhere.log"])
def test_no_file_beside_the_runs_directory_is_read(tmp_path: Path, log: str) -> None:
    (tmp_path / "secret.log").write_text("secret\n" * 9)
    directory = tmp_path / "run"
    directory.mkdir()
    record = a_run()
    record.moments = [Moment(1.0, "x", "a", log, 2)]

    assert excerpts(record, directory) == {}
    assert f'href="{log}"' not in page_of(record) or log == "nowhere.log"


def test_the_membership_picture_names_whom_everybody_took_for_alive() -> None:
    record = a_run()
    record.seen = [one for one in record.seen if one.subject in ("d", "a") and one.node in "bce"]

    reader = read(page_of(record))

    assert "d took a for unreachable" not in reader.text
    assert "e took a for unreachable" in reader.text
    assert "a by" not in reader.text


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_has_its_colour_and_its_sentence(verdict: Verdict) -> None:
    page = page_of(a_run(verdict=verdict))

    assert f'class="verdict {verdict.value}"' in page
