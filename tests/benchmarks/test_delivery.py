"""What the benchmark of deliveries judges by: each commit is looked for in what a node applied."""

from pathlib import Path

import orjson

from benchmarks.delivery.applied import Account, Span, account, arrival_ns, spans_of
from benchmarks.delivery.figures import Figures, spread_of
from benchmarks.report import Goal, Measurement, Spread


def span(after: int, version: int, steps: int, owner: str = "abc") -> Span:
    return Span(owner, after, version, steps, at_ns=version * 10)


def test_a_commit_is_counted_by_the_way_it_came() -> None:
    spans = [span(0, 5, 1), span(5, 9, 3), span(9, 20, 0), span(0, 7, 1, owner="def")]
    commits = [("abc", 5), ("abc", 6), ("abc", 9), ("abc", 15), ("abc", 15), ("def", 7)]

    assert account(spans, commits) == Account(
        stepped=4, jumped=1, twice=0, lacking=0, whole_ns=200
    )  # fmt: skip


def test_a_commit_that_was_applied_twice_or_never_is_noticed() -> None:
    twice = account([span(0, 5, 1), span(4, 9, 0)], [("abc", 5), ("abc", 9)])
    never = account([span(0, 5, 1), span(7, 9, 1)], [("abc", 6), ("def", 5)])

    assert (twice.twice, twice.lacking) == (1, 0)
    assert (never.twice, never.lacking, never.whole_ns) == (0, 2, 0)


def test_the_first_time_at_which_a_node_held_a_commit_counts() -> None:
    spans = {"a": [span(0, 5, 1), span(5, 9, 1)], "b": [span(0, 9, 0)], "c": [span(0, 4, 1)]}

    assert arrival_ns(spans, ("abc", 5)) == {"a": 50, "b": 90}


def test_a_log_tells_what_was_applied_also_where_a_kill_cut_it_short(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    told = {"event": "applied", "owner": "abc", "after": 3, "version": 5, "steps": 2, "mono_ns": 50}
    lines = [orjson.dumps(told), orjson.dumps({**told, "event": "joined"}), b'{"event": "applied"']
    log.write_bytes(b"\n".join(lines))

    assert spans_of(log) == [span(3, 5, 2)]


def test_what_is_not_as_promised_shows_in_the_table_and_is_kept() -> None:
    figures = Figures()
    figures.put("updates", 1_000)
    figures.put("ratio", spread_of([1.0, 1.2, 1.1], 2), Goal("<=", 1.1, "kith"))
    figures.put("… over so long, s", 2.5)
    figures.promise("all roots are equal", kept=False)

    assert figures.table().splitlines()[2:] == [
        "| updates | 1,000 |",
        "| ratio | 1.1 (1.0–1.2) |",
        "| … over so long, s | 2.5 |",
        "| all roots are equal | NO |",
    ]
    assert figures.missed == ["all roots are equal"]
    assert figures.measured == [
        Measurement("updates", "", Spread(1_000, 1_000, 1_000)),
        Measurement("ratio", "", Spread(1.1, 1.0, 1.2), goal=Goal("<=", 1.1, "kith")),
        Measurement("ratio … over so long", "s", Spread(2.5, 2.5, 2.5)),
        Measurement(
            "all roots are equal", "1: kept", Spread(0, 0, 0), goal=Goal(">=", 1.0, "kith")
        ),
    ]
