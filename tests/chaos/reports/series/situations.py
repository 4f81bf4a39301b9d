"""Climbs and blasts as they come."""

from chaos.reports.series.climb import Climb, Step
from chaos.reports.series.reach import Blast, Effect
from chaos.verdict import Verdict

RATES = ("10 %", "30 %", "50 %", "70 %")
BROKEN = "no live node taken for gone for longer than 4 s: 14 times, b took c for gone at 7.17 s"


def a_climb(*verdicts: Verdict, reason: str = BROKEN) -> Climb:
    """A ramp of loss with a step for each verdict."""
    climb = Climb(
        ramp="loss", title="packets lost", phrase="{} of packets lost", about="What a step is.",
        nobody_gone=True, rates=RATES, cluster="namespaces", nodes=("a", "b", "c"), seed=7,
        started_at="2026-11-27T04:50:47Z", commit="at commit 0123456",
        replay="kith chaos gradual loss --seed 7", means={"delay": "tun"},
    )  # fmt: skip
    for place, verdict in enumerate(verdicts):
        figures: dict[str, float] = {
            "coverage_p50_s": 0.004 * 10**place, "coverage_p99_s": 0.05 * 10**place,
            "updates_count": 300, "updates_short_count": 3 * (place > 1),
            "lookups_failed_count": 0, "gone_count": 5 * (place > 1), "healed_s": 0.1,
            "updates_lost_count": 0, "writes_undone_count": 0,
        }  # fmt: skip
        if place > 1:
            figures["gone_longest_s"] = 0.99
        why = "" if verdict is Verdict.VALID else reason
        climb.steps.append(Step(RATES[place], verdict, why, figures, f"0{place + 1}-run"))
    return climb


def an_effect(node: str = "a", way: str = "kill", **noticed_s: float) -> Effect:
    """A failure that these noticed, of four nodes."""
    others = [name for name in "abcd" if name != node]
    return Effect(
        node=node, way=way, verdict=Verdict.VALID, reason="", lasted_s=14.0, noticed_s=noticed_s,
        blind=tuple(name for name in others if name not in noticed_s), itself=(),
        back_s=0.4 if noticed_s else None, lookups_failed=0, writes_failed=0, run="01-run",
    )  # fmt: skip


def a_blast(*effects: Effect) -> Blast:
    """Those failures, and no more."""
    return Blast(
        about="What a failure is.", cluster="namespaces", nodes=("a", "b", "c", "d"), seed=7,
        started_at="2026-11-27T04:50:47Z", commit="at commit 0123456",
        replay="kith chaos blast --seed 7", left_out={"wipe": "there are no disks"},
        planned=len(effects), effects=list(effects),
    )  # fmt: skip
