"""`python -m benchmarks`: suites that end in all ways, the table, the comparison, the pages."""

from pathlib import Path

import pytest

from benchmarks import running
from benchmarks.__main__ import main
from benchmarks.cluster.summary import LINES
from benchmarks.peers import PROGRAMS, install, missing
from benchmarks.registrations.summary import ROWS
from benchmarks.report import Document, Goal, PeerValues, ReportError, curve, measure
from benchmarks.report.compare import changes, comparison
from benchmarks.report.pages import END, HEADLINE, PAGES, headline, marks, parts, replaced
from benchmarks.report.results import Outcome, Results, markdown, read_results, write_results
from benchmarks.running import Place, run
from benchmarks.suites import MODES, SUITES, Plan, Suite

ROOT = Path(__file__).parents[2]
EXPECTED = {"attacks", "memory", "watchers"}
"""Suites that the page has room for, whether or not they are in the list."""
ABOUT = {"when": "now", "mode": "quick", "commit": "abc", "load average before": "0.1"}
MEASURES = """
import sys
from pathlib import Path
from benchmarks.report import measure, write
print("measuring")
write(Path(sys.argv[-1]), "its own name", [measure("speed", "1/s", [1.0, 3.0])])
"""


def suite_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Suite:
    """A suite that is a module of its own, found by the interpreter that runs it."""
    (tmp_path / "measuring.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return Suite("it", "It", "measuring", dict.fromkeys(MODES, Plan("--fast", 1.0)))


def outcome_of(suite: Suite, tmp_path: Path) -> Outcome:
    return run(suite, "quick", Place(tmp_path), lambda _passed_s, _last: None)


def test_a_suite_that_measures_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = suite_of(tmp_path, monkeypatch, MEASURES)

    found = outcome_of(suite, tmp_path)

    assert (found.status, found.why, found.command) == ("done", "", "python -m measuring --fast")
    assert found.found == Document("it", [measure("speed", "1/s", [1.0, 3.0])])
    assert (tmp_path / "it.log").read_text() == "measuring\n"


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        (f"{MEASURES}\nsys.exit('a node was lost')", "done", "exit code 1: a node was lost"),
        ("raise ValueError('broken')", "failed", "exit code 1: ValueError: broken"),
        ("import sys; print('no wrk here'); sys.exit(2)", "skipped", "exit code 2: no wrk here"),
        ("import sys; open(sys.argv[-1], 'w').write('[]')", "failed", "[], not an object"),
        ("pass", "failed", "cannot be read"),
    ],
)
def test_a_suite_that_does_not_measure_says_why(
    code: str, status: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcome_of(suite_of(tmp_path, monkeypatch, code), tmp_path)

    assert found.status == status
    assert why in found.why


def test_a_suite_that_is_not_there_is_skipped(tmp_path: Path) -> None:
    suite = Suite("it", "It", "no_such_module", dict.fromkeys(MODES, Plan("", 1.0)))

    found = outcome_of(suite, tmp_path)

    assert (found.status, found.why) == ("skipped", "there is no no_such_module")


def test_a_suite_that_hangs_is_ended_as_by_ctrl_c_and_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.suites.SLACK_S", 1.0)
    code = """
import threading
print("begun", flush=True)
try:
    threading.Event().wait()
finally:
    print("cleaned up", flush=True)
"""
    hanging = suite_of(tmp_path, monkeypatch, code)
    at_once = Suite(hanging.name, "It", hanging.module, dict.fromkeys(MODES, Plan("", 0.0)))

    found = outcome_of(at_once, tmp_path)

    assert found.status == "failed"
    assert "it hung" in found.why
    assert "cleaned up" in (tmp_path / "it.log").read_text()


def test_the_last_line_of_a_log_is_the_last_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo \xff\n\n")

    assert running.last_line(log) == "two \ufffd"
    assert running.last_line(tmp_path / "none") == ""


def results() -> Results:
    etcd = PeerValues("etcd", "3.4", [10.0, 10.0])
    fast = measure("speed", "1/s", [20.0, 40.0], peer=etcd, goal=Goal(">=", 2.5, "ratio"))
    small = measure("memory", "MB", [55.0, 65.0], goal=Goal("<=", 55.0, "kith"))
    return Results(
        ABOUT,
        [
            Outcome("Speed", "python -m speed", "done", "", 12.3, Document("speed", [fast, small])),
            Outcome("Size", "python -m size", "failed", "it hung", 1.0, Document("size", [])),
        ],
    )


def test_a_run_is_written_and_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"

    write_results(path, results())

    assert read_results(path) == results()
    assert path.with_suffix(".md").read_text() == markdown(results())


def test_the_page_says_what_was_promised_and_which_suite_gave_nothing() -> None:
    lines = markdown(results()).splitlines()

    promised = lines[lines.index("## What was promised") + 2 : lines.index("## Speed")]
    assert promised == [
        "|  | unit | Kith | peer | ratio | goal | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| speed | 1/s | 30 (20–40) | etcd 10 | 3 (2–4) (kith / peer) | ≥ 2.5 × | yes |",
        "| memory | MB | 60 (55–65) | – | – | ≤ 55 | **no** |",
        "",
        "- Size: **failed**: it hung",
        "",
    ]
    assert "**FAILED**: it hung" in lines


@pytest.mark.parametrize("text", ["{", "[]", '{"about": {}}', '{"about": {"when": 3}}'])
def test_a_file_that_is_no_run_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)

    with pytest.raises(ReportError, match=r"run\.json"):
        read_results(path)


def with_speed(*values: float, goal: float = 2.5) -> Results:
    etcd = PeerValues("etcd", "3.4", [10.0] * len(values))
    fast = measure("speed", "1/s", values, peer=etcd, goal=Goal(">=", goal, "ratio"))
    return Results(ABOUT, [Outcome("Speed", "", "done", "", 1.0, Document("speed", [fast]))])


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (with_speed(25.0, 39.0), "same"),
        (with_speed(29.0, 31.0, 90.0), "same"),
        (with_speed(50.0, 60.0), "more"),
        (with_speed(10.0, 11.0), "less"),
    ],
)
def test_a_figure_changed_if_each_median_is_outside_of_the_others_rounds(
    now: Results, verdict: str
) -> None:
    assert [one.verdict for one in changes(with_speed(20.0, 40.0), now)] == [verdict]


def test_the_comparison_shows_changes_new_ones_and_lost_ones_and_counts_the_rest() -> None:
    before, now = results(), with_speed(90.0, goal=10.0)

    assert comparison(changes(before, now)).splitlines()[2:] == [
        "| speed | speed | 3 (2–4) ratio | 9 ratio | 3.00 | more | yes → **no** |",
        "| speed | memory | 60 (55–65) MB | – | – | gone | **no** → – |",
        "",
        "0 of 2 figures are the same within their rounds.",
    ]
    assert comparison(changes(before, before)).endswith(
        "2 of 2 figures are the same within their rounds."
    )


PAGE = f"""# Page

<!-- figures: speed -->
old
{END}
<!-- figures: size -->
kept
{END}
after
"""


def test_figures_stand_between_marks_and_those_not_measured_stay() -> None:
    page = replaced(PAGE, parts(results(), whole=False))

    assert "old" not in page
    assert "| speed | 1/s | 30 (20–40) |" in page
    assert "`python -m speed`, now, commit abc, load average before the run 0.1;" in page
    assert f"<!-- figures: size -->\nkept\n{END}\nafter\n" in page
    assert replaced(page, parts(results(), whole=False)) == page


def test_the_headline_has_the_figures_of_the_readme_that_were_measured() -> None:
    etcd = PeerValues("etcd", "3.4", [10.0])
    fast = measure("lookups", "1/s", [30.0], peer=etcd)
    document = Document("lookups", [fast, measure("another", "", [1.0])])
    lines = headline(Results({}, [Outcome("", "", "done", "", 1.0, document)])).splitlines()

    assert lines[4:] == ["| lookups | **30** 1/s | etcd 10 1/s | 3 (kith / peer) |"]


def test_every_headline_is_a_figure_of_its_suite() -> None:
    names = {("cluster", line.name) for line in LINES}
    names |= {("registrations", name) for _, name, _, _ in ROWS}

    assert {key for key in HEADLINE if key[0] != "lookups"} <= names


def test_pictures_stand_below_the_table_of_their_suite() -> None:
    line = curve("by-size", "By size", ("x", "y"), {"Kith": {1.0: [1.0]}})
    document = Document("speed", [measure("speed", "", [1.0])], [line])
    found = parts(Results(ABOUT, [Outcome("", "", "done", "", 1.0, document)]), whole=False)

    assert found["speed"].splitlines()[-1] == "![By size](figures/by-size.svg)"


def test_what_is_said_of_all_suites_is_of_a_run_of_all() -> None:
    assert parts(results(), whole=False).keys() == {"speed"}
    assert parts(results(), whole=True).keys() == {"speed", "about", "promised", "headline"}


@pytest.mark.parametrize("page", [PAGE.replace(END, ""), PAGE.replace(END, "", 1)])
def test_a_mark_that_nothing_closes_is_refused(page: str) -> None:
    with pytest.raises(ReportError, match="'speed'"):
        replaced(page, {"speed": "text"})


def test_every_mark_of_the_documentation_is_one_that_is_filled() -> None:
    known = {"about", "promised", "headline", *EXPECTED, *(suite.name for suite in SUITES)}

    for name in PAGES:
        page = (ROOT / name).read_text()
        assert set(marks(page)) <= known
        assert page.count("\n" + END + "\n") == len(marks(page))


def test_suites_are_modules_that_exist_and_need_programs_that_are_known() -> None:
    programs = {one.name for one in PROGRAMS}

    assert len({suite.name for suite in SUITES}) == len(SUITES)
    for suite in SUITES:
        path = ROOT / suite.module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), suite.module
        assert set(suite.peers) <= programs
        assert list(suite.plans) == list(MODES)


def test_a_standard_run_takes_at_most_25_minutes() -> None:
    assert sum(suite.plans["standard"].minutes for suite in SUITES) <= 25


def test_what_is_missing_is_said_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    said: list[str] = []

    install(missing(["etcd", "serf"]), said.append)

    how = "on Debian, as root: apt-get install etcd-server serf"
    assert said == [
        f"SKIPPED: etcd is not here (the peer of lookups and registrations); {how}",
        f"SKIPPED: serf is not here (the peer of clusters); {how}",
    ]


def test_the_list_has_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert words == [suite.name for suite in SUITES]


def test_an_earlier_run_is_shown_and_compared_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    write_results(path, results())

    code = main(["--result", str(path), "--compare", str(path)])

    assert code == 0
    assert "2 of 2 figures are the same" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_is_an_error_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--compare", str(tmp_path / "none.json")]) == 2

    assert "none.json cannot be read" in capsys.readouterr().err


def test_a_suite_nobody_knows_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
