"""What the cluster benchmark reads: logs, counters, /proc; and what it concludes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from benchmarks.cluster.facts import Applied, Believed, Fact, Named, Tail, parse_kith, parse_serf
from benchmarks.cluster.fleet import Fleet
from benchmarks.cluster.measure import Findings
from benchmarks.cluster.report import table_of
from benchmarks.cluster.sides import Update
from benchmarks.cluster.traffic import Traffic, parse_counters
from benchmarks.cluster.usage import parse_cpu_ms, parse_kib, usage_of

LISTING = """\
Chain KITH-BENCH (1 references)
    pkts      bytes target     prot opt in     out     source               destination
     120     9240            udp  --  *      *       0.0.0.0/0            0.0.0.0/0            udp dpts:21000:21031
       2      104            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpts:21000:21031
       1       52            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spts:21000:21031
"""  # noqa: E501
STATUS = "Name:\tpython\nVmPeak:\t  9000 kB\nVmRSS:\t   2000 kB\n"


def line(**fields: object) -> bytes:
    return orjson.dumps({"mono_ns": 7, "level": "debug", **fields})


def test_a_node_tells_who_it_is_what_it_applied_and_whom_it_believes_alive() -> None:
    applied = line(event="applied", node_id="abc", owner="def", version=5)
    back = line(event="member_changed", node_id="abc", member="def", old="unreachable", new="alive")
    gone = line(event="member_changed", node_id="abc", member="def", old="alive", new="unreachable")

    assert parse_kith(applied, 0) == [Named("abc"), Applied("def", 5, 7)]
    assert parse_kith(back, 0) == [Named("abc"), Believed("def", alive=True, at_ns=7)]
    assert parse_kith(gone, 0) == [Named("abc"), Believed("def", alive=False, at_ns=7)]


def test_a_suspect_still_counts_as_there() -> None:
    doubted = line(event="member_changed", member="def", old="alive", new="suspect")

    assert parse_kith(doubted, 0) == [Believed("def", alive=True, at_ns=7)]


def test_lines_that_are_no_records_give_no_facts() -> None:
    assert parse_kith(b"kith: warning: ", 0) == []
    assert parse_kith(b"[1]", 0) == []
    assert parse_kith(b'{"event":"applied","owner":"d","version":5}', 0) == []


def test_an_agents_line_gets_the_time_at_which_it_was_read() -> None:
    failed = b"    2026/11/21 11:32:48 [INFO] serf: EventMemberFailed: n3 127.0.0.1"
    joined = b"    2026/11/21 11:32:48 [INFO] serf: EventMemberJoin: n3 127.0.0.1"

    assert parse_serf(failed, 9) == [Believed("n3", alive=False, at_ns=9)]
    assert parse_serf(joined, 9) == [Believed("n3", alive=True, at_ns=9)]
    assert parse_serf(b"[INFO] memberlist: Suspect n3 has failed, no acks received", 9) == []
    assert parse_serf(b"[INFO] serf: EventMemberUpdate: n3", 9) == []


def test_a_tail_gives_whole_lines_once_and_waits_for_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.lines() == []

    with path.open("wb", buffering=0) as log:
        log.write(b"one\ntw")
        assert tail.lines() == [b"one"]
        log.write(b"o\n")
        assert tail.lines() == [b"two"]
        assert tail.lines() == []
    tail.close()


def test_the_kernels_counters_are_added_up() -> None:
    assert parse_counters(LISTING) == Traffic(packets=123, bytes=9396)
    assert Traffic(5, 500).since(Traffic(2, 100)) == Traffic(3, 400)


def test_processor_time_is_read_though_a_name_holds_brackets_and_blanks() -> None:
    stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0"

    assert parse_cpu_ms(stat, 100) == 2_000.0


def test_resident_memory_is_in_bytes() -> None:
    assert parse_kib(STATUS, "VmRSS:") == 2_000 * 1024
    own = usage_of(os.getpid())
    assert 1_000_000 < own.pss_bytes <= own.rss_bytes


def test_an_update_counts_only_when_the_last_has_it() -> None:
    ms = 1_000_000

    whole = Update.of(10 * ms, 12 * ms, [15 * ms, 13 * ms, 14 * ms], 3)
    part = Update.of(10 * ms, 12 * ms, [15 * ms, 13 * ms], 3)

    assert whole == Update(acknowledged_ms=2.0, half_ms=4.0, all_ms=5.0)
    assert part == Update(acknowledged_ms=2.0, half_ms=5.0, all_ms=None)


def fleet_of_three(logs: Path) -> Fleet:
    names = ["n0", "n1", "n2"]
    return Fleet(names, [[sys.executable, "-c", ""]] * 3, logs, parse_kith)


def write(logs: Path, name: str, lines: Sequence[bytes]) -> None:
    with (logs / f"{name}.log").open("ab") as log:
        log.writelines(each + b"\n" for each in lines)


def seen(node: str, by: str, new: str, at_ns: int) -> bytes:
    return line(event="member_changed", member=node, node_id=by, new=new).replace(
        b'"mono_ns":7', b'"mono_ns":%d' % at_ns
    )


def test_a_fleet_has_joined_when_the_last_sees_the_last(tmp_path: Path) -> None:
    fleet = fleet_of_three(tmp_path)
    write(tmp_path, "n0", [seen("b", "a", "alive", 1), seen("c", "a", "alive", 2)])
    write(tmp_path, "n1", [seen("a", "b", "alive", 3), seen("c", "b", "alive", 4)])
    write(tmp_path, "n2", [seen("a", "c", "alive", 5)])
    fleet.read()
    assert not fleet.all_joined()

    write(tmp_path, "n2", [seen("b", "c", "alive", 9)])
    fleet.read()

    assert fleet.all_joined()
    assert fleet.joined_ns() == 9
    assert not fleet.alarms
    fleet.stop()


def test_a_live_one_taken_for_gone_is_an_alarm_and_a_killed_one_is_not(tmp_path: Path) -> None:
    fleet = fleet_of_three(tmp_path)
    for name, by, others in (("n0", "a", "bc"), ("n1", "b", "ac"), ("n2", "c", "ab")):
        write(tmp_path, name, [seen(other, by, "alive", 1) for other in others])
    fleet.read()

    write(tmp_path, "n0", [seen("b", "a", "unreachable", 2), seen("b", "a", "alive", 3)])
    fleet.read()
    assert [(alarm.by, alarm.name) for alarm in fleet.alarms] == [(0, "b")]

    fleet.kill(2)
    write(tmp_path, "n0", [seen("c", "a", "unreachable", 4), seen("c", "a", "dead", 5)])
    write(tmp_path, "n1", [seen("c", "b", "unreachable", 6)])
    fleet.read()

    assert fleet.gone_ns(2) == [4, 6]
    assert fleet.gone_for_all(2)
    assert len(fleet.alarms) == 1
    fleet.stop()


def test_a_later_commit_brings_an_earlier_one_with_it(tmp_path: Path) -> None:
    fleet = fleet_of_three(tmp_path)
    write(tmp_path, "n0", [line(event="started", node_id="a")])
    write(tmp_path, "n1", [line(event="applied", node_id="b", owner="a", version=5)])
    write(tmp_path, "n2", [line(event="applied", node_id="c", owner="a", version=3)])
    fleet.read()

    assert len(fleet.applied_ns(0, 4)) == 1
    assert len(fleet.applied_ns(0, 3)) == 2
    fleet.stop()


def test_the_table_holds_each_figure_and_the_ratio_of_the_medians() -> None:
    ours, theirs = Findings(update_all_ms=[10.0, 20.0, 30.0]), Findings(update_all_ms=[100.0])

    table = table_of({"kith": ours, "serf": theirs}, "title")

    assert list(table.columns[-1].cells) == ["5.00 ×", "", ""]


def test_parsers_never_raise_on_bytes() -> None:
    facts: list[Fact] = []
    for junk in (b"", b"\xff\xfe", b" serf: Event", b" serf: EventMemberJoin:", b"{", b"null"):
        facts += parse_kith(junk, 0) + parse_serf(junk, 0)

    assert facts == []
