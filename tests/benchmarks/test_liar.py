"""The benchmark of a member that lies: its messages, its figures, and both sides for real."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from benchmarks.cluster import serf
from benchmarks.cluster.fleet import BenchError
from benchmarks.liar import memberlist
from benchmarks.liar.__main__ import main
from benchmarks.liar.attacks import ATTACKS, Pace
from benchmarks.liar.logs import Logged, kith_logged, serf_logged
from benchmarks.liar.report import LINES, kept, measurements
from benchmarks.liar.samples import Figures, Seen, Trial, figures
from benchmarks.liar.sides import KithTown, SerfTown, Side, honest, kith_saw, serf_saw, told
from benchmarks.liar.trial import run_trial, start
from benchmarks.report import Spread, read

ROOT = Path(__file__).parents[2]
KEY = bytes(range(32))
SHORT = Pace(per_s=5.0, for_s=2.0, watch_s=2.0)
PATIENCE_S = 60.0
needs_serf = pytest.mark.skipif(
    not serf.installed(), reason=f"NOT TESTED: a lying member of Serf; {serf.INSTALL}"
)


@pytest.mark.parametrize(("kind", "first"), [(memberlist.DEAD, 5), (memberlist.SUSPECT, 3)])
def test_an_accusation_is_a_type_and_three_fields(kind: int, first: int) -> None:
    said = memberlist.accusation(kind, "n0", memberlist.INCARNATION_MAX, "n4")

    assert said[0] == first
    assert msgpack.unpackb(said[1:]) == {"Incarnation": 2**32 - 1, "Node": "n0", "From": "n4"}


def test_an_accusation_has_only_what_the_old_form_of_messagepack_has() -> None:
    long = "n" * 40  # MessagePack's newer form has a type of its own for this length

    said = memberlist.accusation(memberlist.DEAD, long, 7, "n4")

    assert b"\xda\x00\x28" + long.encode() in said


def test_what_is_sealed_is_opened_with_the_same_key_and_the_same_head_only() -> None:
    sealed = memberlist.seal(KEY, b"word", b"head")

    assert sealed[0] == 1
    assert len(sealed) == 1 + 12 + len(b"word") + 16
    assert memberlist.unseal(KEY, sealed, b"head") == b"word"
    for key, further in ((KEY[::-1], b"head"), (KEY, b"")):
        with pytest.raises(BenchError, match="cannot be unsealed"):
            memberlist.unseal(key, sealed, further)


def test_incarnations_are_read_from_what_an_agent_knows() -> None:
    members = [
        {"Name": b"n0", "Incarnation": 3, "Addr": bytes(4), "Meta": b"\xff\x80", "State": 0},
        {"Name": b"n4", "Incarnation": 2**32 - 1, "Addr": bytes(4), "Meta": b"", "State": 2},
    ]
    parts: list[object] = [{"Nodes": 2, "UserStateLen": 3, "Join": False}, *members]
    state = b"\x06" + b"".join(msgpack.packb(one, use_bin_type=False) for one in parts) + b"abc"

    assert memberlist.incarnations(state) == {"n0": 3, "n4": 2**32 - 1}


@pytest.mark.parametrize("state", [b"", b"\x09\x80", b"\x06", b"\x06\x80", b"\x06\xc1"])
def test_an_answer_that_is_none_is_refused(state: bytes) -> None:
    with pytest.raises(BenchError, match="push-pull"):
        memberlist.incarnations(state)


def test_who_is_told_is_everybody_but_the_liar_and_the_accused_only_if_the_lie_is_so() -> None:
    assert list(honest(5)) == [1, 2, 3]
    assert told(ATTACKS["others"], 5) == [1, 2, 3]
    assert told(ATTACKS["everybody"], 5) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("status", "gone"), [("alive", False), ("failed", True), ("left", True), ("leaving", True)]
)
def test_an_agent_shows_the_accused_by_its_name(status: str, gone: bool) -> None:
    members = [
        {b"Name": b"n1", b"Status": b"alive"},
        {b"Name": b"n0", b"Status": status.encode()},
    ]

    assert serf_saw({b"Members": members}, "n0", 1.0) == Seen(1.0, status, gone=gone)
    assert serf_saw({b"Members": members[:1]}, "n0", 1.0) == Seen(1.0, "unknown", gone=True)


def test_a_node_shows_the_accused_and_its_service() -> None:
    found: dict[str, object] = {"instances": [{"owner": "them"}, {"owner": "it"}]}

    assert kith_saw({"status": "suspect"}, found, "it", 1.0) == Seen(1.0, "suspect", listed=True)
    assert kith_saw({"status": "unreachable"}, {"instances": []}, "it", 1.0) == Seen(
        1.0, "unreachable", gone=True, listed=False
    )
    assert kith_saw({"error": {}}, found, "it", 1.0).gone


def looks(states: str, *, begin_s: float = 100.0) -> list[Seen]:
    """A look each half second: `.` there, `x` gone, `?` not answered."""
    shown = {".": "alive", "x": "failed", "?": ""}
    return [
        Seen(begin_s + at / 2, shown[state], gone=state == "x", listed=state == ".")
        for at, state in enumerate(states)
    ]


def figures_of(*states: str, logged: Logged = Logged()) -> Figures:  # noqa: B008 - immutable
    """Of a lie from 101 to 104 s, told seven times; looks begin at 100 s."""
    each = {f"n{number}": looks(one) for number, one in enumerate(states)}
    return figures(Trial(each, 101.0, 104.0, 7, logged))


def test_figures_say_who_was_fooled_for_how_long_and_until_when() -> None:
    found = figures_of("...xx.xxxx..", "............")

    assert (found.members, found.fooled, found.still_gone) == (2, 1, 0)
    assert found.first_s == 0.5
    assert found.gone_s == 1.5
    assert found.gone_share == pytest.approx((1.0 + 1.0) / 3.0 / 2)
    assert (found.longest_s, found.back_s) == (2.0, 1.0)
    assert (found.lookups, found.lookups_lost, found.looks) == (20, 6, 20)


def test_what_was_before_the_lie_does_not_count() -> None:
    found = figures_of("xx..........")

    assert (found.fooled, found.gone_s, found.first_s, found.back_s) == (0, 0.0, None, 0.0)


def test_who_is_not_back_at_the_end_is_said_and_has_no_time() -> None:
    found = figures_of("...xxxxxxxxx", "............")

    assert (found.still_gone, found.back_s, found.longest_s) == (1, None, 4.0)


def test_a_look_without_an_answer_says_nothing_of_its_time() -> None:
    found = figures_of("...x?x??....")

    assert (found.unanswered, found.gone_s, found.lookups) == (3, 1.0, 7)


def line(member: str, old: str, new: str, at_s: float) -> bytes:
    event = {"event": "member_changed", "member": member, "old": old, "new": new}
    return json.dumps({**event, "mono_ns": int(at_s * 1e9)}).encode()


def test_logs_of_nodes_say_how_long_a_word_stood_and_who_fell_for_it() -> None:
    first = [
        b'{"event": "applied"}',
        line("it", "alive", "suspect", 1.0),
        line("it", "suspect", "alive", 1.25),
        line("other", "alive", "unreachable", 1.5),
    ]
    second = [line("it", "alive", "suspect", 2.0), line("it", "suspect", "unreachable", 2.5)]

    assert kith_logged([first, second], "it") == Logged(1, 2, 0.75)


def test_logs_of_agents_say_who_fell_for_it_and_what_the_accused_refuted() -> None:
    theirs = [
        b"2026/11/27 [INFO] serf: EventMemberFailed: n0 127.0.0.1",
        b"2026/11/27 [INFO] serf: EventMemberFailed: n01 127.0.0.1",
        b"2026/11/27 [INFO] serf: EventMemberJoin: n0 127.0.0.1",
    ]
    own = [b"2026/11/27 [WARN] memberlist: Refuting a dead message (from: n4)"] * 2

    assert serf_logged([theirs, theirs], "n0", own) == Logged(2, refuted=2)


def test_kith_keeps_its_promise_only_if_nobody_fell_for_it() -> None:
    calm = replace(figures_of("............"), lookups_lost=0)
    fooled = figures_of("...x........")

    assert kept({"once": {"kith": [calm], "serf": [fooled]}})
    for broken in (fooled, replace(calm, lookups_lost=1), replace(calm, times=0.3)):
        assert not kept({"once": {"kith": [calm, broken]}})


def test_figures_for_programs_have_ours_beside_theirs_and_the_goal() -> None:
    calm = replace(figures_of("............"), lookups_lost=0)
    gone = figures_of("...xxxxxxxxx", logged=Logged(3, refuted=2))
    rounds = {"kith": [calm, calm], "serf": [gone, calm]}

    found = {one.name: one for one in measurements({"greatest": rounds}, "serf 0.9")}

    fooled = found["said dead once, with the greatest number: honest members that took it for gone"]
    assert (fooled.kith, fooled.met) == (Spread(0.0, 0.0, 0.0), True)
    assert fooled.peer is not None
    assert fooled.peer.spread == Spread(0.5, 0.0, 1.0)
    assert not any("of the time" in name or "refuted" in name for name in found)
    assert len(found) == sum(one.shared for one in LINES) - 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["flattery"], "flattery"),
        (["once", "--nodes", "9"], "'9' is no number from 4 to 8"),
        (["once", "--nodes", "3"], "'3'"),
        (["once", "--per-s", "1e9"], "'1e9'"),
        (["once", "--seconds", "inf"], "'inf'"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_started(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert named in capsys.readouterr().err


def outcome(side: Side, attack: str) -> Figures:
    """Of a real cluster, which is gone afterwards."""
    try:
        start(side)
        return figures(run_trial(side, ATTACKS[attack], SHORT))
    finally:
        side.fleet.stop()


@pytest.mark.slow
@needs_serf
def test_agents_of_serf_take_a_healthy_member_for_failed_as_often_as_one_member_says_so(
    tmp_path: Path,
) -> None:
    found = outcome(SerfTown(5, tmp_path), "others")

    assert (found.members, found.fooled, found.told) == (3, 3, 10)
    assert found.times >= 1
    assert found.gone_s > 0.2
    assert found.refuted


@pytest.mark.slow
@needs_serf
def test_agents_of_serf_withstand_a_suspicion_because_the_accused_hears_and_refutes_it(
    tmp_path: Path,
) -> None:
    found = outcome(SerfTown(5, tmp_path), "suspect")

    assert found.refuted
    assert (found.fooled, found.times) == (0, 0)


@pytest.mark.slow
@needs_serf
def test_a_keyring_keeps_out_who_has_not_the_key_and_not_the_member_who_has(
    tmp_path: Path,
) -> None:
    side = SerfTown(5, tmp_path, keyring=True)
    try:
        start(side)
        side.lie_with(ATTACKS["everybody"], SHORT, bytes(32))
        side.lie_with(ATTACKS["everybody"], SHORT, None)
        assert side.logged() == Logged(refuted=0)

        found = figures(run_trial(side, ATTACKS["everybody"], SHORT))
    finally:
        side.fleet.stop()

    assert found.fooled == 3
    assert found.refuted


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["everybody", "greatest"])
def test_nodes_of_kith_hear_the_same_and_never_take_the_member_for_gone(
    attack: str, tmp_path: Path
) -> None:
    found = outcome(KithTown(5, tmp_path), attack)

    assert found.doubted >= 1
    assert (found.fooled, found.times, found.lookups_lost, found.back_s) == (0, 0, 0, 0.0)
    assert found.lookups > 20


@pytest.mark.slow
def test_without_serf_it_says_so_aloud_and_measures_kith_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "liar.json"

    code = main(["once", "--nodes", "4", "--watch", "1", "--json", str(path)])

    said = capsys.readouterr()
    assert code == 0
    assert "SKIPPED: Serf is not installed" in said.err
    assert "said dead once" in said.out
    found = read(path).measurements
    assert found
    assert all(one.peer is None and one.met is not False for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_process_and_no_data(
    number: signal.Signals, tmp_path: Path
) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    words = ["others", "--serf", "off", "--seconds", "60"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.liar", *words],
        env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as program:  # fmt: skip
        try:
            deadline = time.perf_counter() + PATIENCE_S
            while not any("slanderer" in one for one in commands_with(str(tmp_path))):
                assert program.poll() is None
                assert time.perf_counter() < deadline, "it does not begin to lie"
                time.sleep(0.1)
            program.send_signal(number)
            code = program.wait(PATIENCE_S)
        finally:
            program.kill()

    assert code == 130
    assert commands_with(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def commands_with(text: str) -> list[str]:
    """Of all processes, those that have it in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found
