"""Records of runs as they come: five nodes, a partition of three and two, clients all the while."""

from dataclasses import replace
from random import Random

from chaos.running.record import (
    Coverage,
    Expected,
    Moment,
    RunRecord,
    Said,
    Sample,
    Seen,
    Span,
)
from chaos.verdict import Finding, Verdict

NODES = ("a", "b", "c", "d", "e")
LEFT, RIGHT = NODES[:3], NODES[3:]
CUT_S, HEALED_S, STEADY_S, END_S = 5.0, 23.0, 23.6, 31.0
SOURCE = 'title = "Three and two"\n\n[[fault]]\nkind = "partition"\ngroups = [["a", "b"], ["d"]]\n'


def a_run(*, seed: int = 1, verdict: Verdict = Verdict.VALID, reason: str = "") -> RunRecord:
    """A run that went well, unless said otherwise; the same for the same seed."""
    rng = Random(seed)
    return RunRecord(
        scenario="split-majority",
        title="Three nodes and two are cut apart for 18 s",
        about="A switch dies: a, b and c reach each other, d and e reach each other.",
        cluster="namespaces",
        nodes=NODES,
        seed=seed,
        started_at="2026-11-27T02:00:00.000Z",
        commit="at commit 0123456",
        versions={"python": "3.11.7", "kernel": "6.1"},
        replay=f"kith chaos run split-majority --seed {seed}",
        source=SOURCE,
        verdict=verdict,
        reason=reason,
        duration_s=42.5,
        zero_mono_ns=1_000_000_000_000,
        spans=[
            Span("partition", "partition groups a b c | d e", RIGHT, CUT_S, HEALED_S),
            Span("loss", "loss share=0.1", (), 10.0, 15.0),
            Span("healing", "until the cluster is steady again", (), HEALED_S, STEADY_S),
        ],
        said=[
            Said(CUT_S, "cut apart: a b c | d e"),
            Said(STEADY_S, "steady again 0.60 s after the last fault was healed"),
        ],
        samples=_samples(rng),
        seen=_seen(rng),
        coverage=_coverage(rng),
        findings=_findings(),
        expected=[Expected("steady within 5 s of healing", Verdict.VALID, "")],
        moments=[Moment(6.2, "a takes d for unreachable", "a", "a.log", 3)],
        figures={
            "lookups_count": 1800, "lookups_failed_count": 0, "writes_count": 600,
            "writes_acknowledged_count": 598, "updates_lost_count": 0, "lookup_p99_ms": 6.5,
            "split_max_s": 1.43, "healed_s": 0.6 + seed / 100,
        },
        logs={name: f"{name}.log" for name in NODES},
        means={"delay": "netem"},
    )  # fmt: skip


def a_broken_run(*, seed: int = 2) -> RunRecord:
    """A run that lost an update and was slow to heal."""
    run = a_run(seed=seed, verdict=Verdict.INVALID, reason="P1 (set_full): d/shop-1/d-1 is lost")
    run.findings[0] = replace(
        run.findings[0], verdict=Verdict.INVALID, witness="d/shop-1/d-1 is lost, written at 7.20 s"
    )
    run.expected = [Expected("steady within 5 s of healing", Verdict.INVALID, "it took 9.00 s")]
    run.figures |= {"updates_lost_count": 1, "healed_s": 9.0, "lookups_failed_count": 3}
    return run


def a_bare_run() -> RunRecord:
    """A run in which nothing could be done or seen."""
    return RunRecord(
        scenario="disk-full", title="", about="", cluster="processes", nodes=("a",), seed=0,
        started_at="", commit="", versions={}, replay="", source="", verdict=Verdict.UNKNOWN,
        reason="disk-full could not be done",
    )  # fmt: skip


def _samples(rng: Random) -> list[Sample]:
    found = []
    for place in range(1200):
        at_s = place * END_S / 1200
        node, action = rng.choice(NODES), rng.choice(("lookup", "lookup", "lookup", "update"))
        outcome, why = "ok", ""
        if CUT_S < at_s < CUT_S + 1 and rng.random() < 0.2:
            outcome, why = rng.choice((("failed", "503 overloaded"), ("indefinite", "no answer")))
        found.append(
            Sample(
                round(at_s, 3), round(rng.lognormvariate(0.5, 0.9), 2), node, action, outcome, why
            )
        )
    return found


def _seen(rng: Random) -> list[Seen]:
    found = [
        Seen(0.1, node, subject, "alive") for node in NODES for subject in NODES if node != subject
    ]
    for side, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        for node in side:
            for subject in other:
                doubt_s = CUT_S + rng.uniform(0.5, 0.9)
                found += [
                    Seen(doubt_s, node, subject, "suspect"),
                    Seen(doubt_s + 0.4, node, subject, "unreachable"),
                    Seen(HEALED_S + rng.uniform(0.1, 0.5), node, subject, "alive"),
                ]
    return sorted(found, key=lambda one: one.at_s)


def _coverage(rng: Random) -> list[Coverage]:
    found = []
    for place in range(60):
        at_s = place * END_S / 60
        reach = 2 if CUT_S <= at_s < HEALED_S else 4
        found.append(
            Coverage(
                at_s, "a", tuple(sorted(rng.lognormvariate(-5, 0.6) for _ in range(reach))), reach
            )
        )
    return found


def _findings() -> list[Finding]:
    return [
        Finding("P1", "set_full", Verdict.VALID, 8_386, figures={"acknowledged_count": 421.0}),
        Finding("P3", "roots", Verdict.VALID, 195),
        Finding("P4", "false_death", Verdict.UNKNOWN, 0),
        Finding("P5", "detection", Verdict.VALID, 8, figures={"split_max_s": 1.43}),
    ]
