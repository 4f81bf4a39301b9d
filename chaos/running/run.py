"""A scenario put to a real cluster, from its start to the record of what came of it.

    start ─▶ steady ─▶ clients and watchers begin ─▶ faults ─▶ all healed ─▶ steady ─▶ settle
                       second 0                      as their times say               ─▶ judge

Rules this module keeps:

1. Every fault that was begun is healed, whatever happened: an error, Ctrl-C, a node that died.
2. A fault that could not be done makes the run `unknown`: it proves nothing.
3. One thread injects and heals; clients and watchers have their own, which end before it judges.
"""

import heapq
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Protocol

from chaos.cli.origin import origin
from chaos.cluster.cluster import Cluster, ClusterError, Member
from chaos.cluster.kinds import running
from chaos.faults.fault import FaultError, Stage
from chaos.scenarios.scenario import Scenario, Step
from chaos.verdict import Verdict

from . import expectations, figures
from .identities import Identities
from .journal import Journal, RunClock
from .judging import history_of, judge, verdict_of, view_of
from .record import SAMPLES_MAX, Expected, RunRecord
from .steady import why_not_steady
from .watching import Watchers
from .workload import Clients, Ledger

POLL_S = 0.05
LOGS_READ_BYTES_MAX = 64 * 1024 * 1024


class Teller(Protocol):
    """Whoever watches a run."""

    def phase(self, name: str, total_s: float) -> None:
        """A phase begins; it takes about so long."""

    def progress(self, done_s: float) -> None:
        """So much of the phase is done."""

    def say(self, text: str) -> None:
        """A line about what happens."""


@dataclass(slots=True)
class _Run:
    """What the phases share."""

    scenario: Scenario
    cluster: Cluster
    seed: int
    teller: Teller
    clock: RunClock = field(default_factory=RunClock)
    identities: Identities = field(default_factory=Identities)
    failed: str = ""
    """Why it proves nothing."""
    unsteady: str = ""
    """What did not come right after the faults."""
    healed_at_s: float = 0.0
    steady_at_s: float = 0.0
    expects: list[expectations.Expects] = field(default_factory=list)
    looked: dict[int, list[str]] = field(default_factory=dict)


def run(
    scenario: Scenario, cluster: Cluster, *, seed: int, teller: Teller, replay: str
) -> RunRecord:
    """Run it; the cluster is started here, and closed.

    Raises:
        ClusterError: the cluster could not be made, or something of it is left.
        KeyboardInterrupt: Ctrl-C; all is healed and closed.
    """
    this = _Run(scenario, cluster, seed, teller)
    names = scenario.plan.names
    this.expects = [expectations.read(one, names) for one in scenario.expectations]
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    begun = time.perf_counter()
    teller.phase("starting", 10.0)
    with running(cluster):
        journal = Journal(this.clock, teller.say)
        ledger = Ledger(this.clock, this.identities)
        clients = Clients(cluster, scenario.workload, ledger, seed=seed)
        watchers = Watchers(cluster, this.clock, this.identities)
        _await_steady(this, "steady before", journal)
        this.clock.begin()
        zero_mono_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        watchers.start()
        clients.start()
        try:
            _faults(this, journal)
            _settle(this, journal)
        finally:
            clients.stop()
            watchers.stop()
        record = _judged(this, journal, ledger, watchers)
    record.started_at, record.replay, record.zero_mono_ns = started_at, replay, zero_mono_ns
    record.duration_s = round(time.perf_counter() - begun, 1)
    record.logs = {member.name: _relative(member.log, cluster) for member in cluster.members}
    record.moments = figures.worst_moments(record, cluster.directory)
    return record


def _await_steady(this: _Run, name: str, journal: Journal) -> None:
    """Wait until the cluster is steady, or the time for that is over: then the run has failed."""
    scenario = this.scenario
    this.teller.phase(name, scenario.steady_within_s)
    members = [one for one in this.cluster.members if one.name not in scenario.plan.late]
    begun = time.perf_counter()
    while why := why_not_steady(members):
        spent_s = time.perf_counter() - begun
        this.teller.progress(spent_s)
        if spent_s > scenario.steady_within_s:
            this.failed = f"not steady after {scenario.steady_within_s:g} s: {why}"
            journal.say(this.failed)
            break
        time.sleep(POLL_S)
    for member in members:
        this.identities.learn(member)


def _faults(this: _Run, journal: Journal) -> None:
    scenario, clock = this.scenario, this.clock
    stage = Stage(this.cluster, journal, Random(f"{this.seed}/faults"))
    due: list[tuple[float, int, str]] = []
    for place, step in enumerate(scenario.steps):
        heapq.heappush(due, (step.at_s, place, "inject"))
        ends_s = scenario.faults_s if step.for_s is None else step.at_s + step.for_s
        heapq.heappush(due, (ends_s, place, "heal"))
    for place, expects in enumerate(this.expects):
        if expects.look_at_s is not None and expects.look_at_s < expectations.AT_THE_END:
            heapq.heappush(due, (expects.look_at_s, place, "look"))
    this.teller.phase("faults", scenario.faults_s)
    begun: dict[int, float] = {}
    try:
        while due:
            now_s = clock.now_s()
            this.teller.progress(now_s)
            if due and due[0][0] <= now_s:
                _, place, what = heapq.heappop(due)
                if what == "inject":
                    begun[place] = now_s
                    _inject(this, stage, scenario.steps[place], journal)
                elif what == "look":
                    this.looked[place] = this.expects[place].look(this.cluster)
                elif place in begun:
                    _heal(this, stage, scenario.steps[place], journal, begun.pop(place))
                continue
            time.sleep(max(0.0, min(POLL_S, due[0][0] - now_s)))
    finally:
        for place in list(begun):
            _heal(this, stage, scenario.steps[place], journal, begun.pop(place))
        this.healed_at_s = clock.now_s()


def _inject(this: _Run, stage: Stage, step: Step, journal: Journal) -> None:
    try:
        step.fault.inject(stage)
    except (FaultError, ClusterError) as error:
        this.failed = this.failed or f"{step.kind.name} could not be done: {error}"
        journal.say(this.failed)


def _heal(this: _Run, stage: Stage, step: Step, journal: Journal, begun_s: float) -> None:
    try:
        step.fault.heal(stage)
    except (FaultError, ClusterError) as error:
        this.failed = this.failed or f"{step.kind.name} could not be healed: {error}"
        journal.say(this.failed)
    finally:
        text = f"{step.kind.name} {_shown(step)}".strip()
        journal.span(step.kind.name, text, step.victims, begun_s)


def _shown(step: Step) -> str:
    return " ".join(f"{name}={value}" for name, value in step.table.items())


def _settle(this: _Run, journal: Journal) -> None:
    """Wait until the cluster is steady again; clients go on, so roots meet between two writes."""
    scenario, clock = this.scenario, this.clock
    this.teller.phase("healing", scenario.steady_within_s)
    begun_s = this.healed_at_s
    while True:
        why = why_not_steady(_meant_to_run(this), journal.villains)
        spent_s = clock.now_s() - begun_s
        if not why:
            this.steady_at_s = clock.now_s()
            journal.say(f"steady again {spent_s:.2f} s after the last fault was healed")
            break
        this.teller.progress(spent_s)
        if spent_s > scenario.steady_within_s:
            this.unsteady = f"not steady {scenario.steady_within_s:g} s after healing: {why}"
            journal.say(this.unsteady)
            break
        time.sleep(POLL_S)
    journal.span("healing", "until the cluster is steady again", (), begun_s)
    this.teller.phase("settling", scenario.settle_s)
    until_s = clock.now_s() + scenario.settle_s
    while clock.now_s() < until_s:
        this.teller.progress(scenario.settle_s - (until_s - clock.now_s()))
        time.sleep(POLL_S)


def _meant_to_run(this: _Run) -> list[Member]:
    """All but the late ones that nobody started."""
    late = this.scenario.plan.late
    return [one for one in this.cluster.members if one.name not in late or one.pid]


def _judged(this: _Run, journal: Journal, ledger: Ledger, watchers: Watchers) -> RunRecord:
    scenario, cluster = this.scenario, this.cluster
    this.teller.phase("judging", 2.0)
    for place, expects in enumerate(this.expects):
        if expects.look_at_s == expectations.AT_THE_END:
            this.looked[place] = expects.look(cluster)
    services = [f"shop-{number}" for number in range(scenario.workload.services)]
    found = (view_of(member, services, this.identities) for member in _meant_to_run(this))
    views = [view for view in found if view is not None]
    times_s = this.healed_at_s, this.clock.now_s()
    sightings = watchers.sightings
    history = history_of(cluster, journal, ledger.operations, sightings, views, times_s)
    findings = judge(history)
    record = RunRecord(
        scenario=scenario.name, title=scenario.title, about=scenario.about, cluster=cluster.kind,
        nodes=cluster.plan.names, seed=this.seed, started_at="", commit=origin(),
        versions=_versions(), replay="", source=scenario.source, verdict=Verdict.UNKNOWN,
        reason="",
    )  # fmt: skip
    record.spans, record.said = journal.spans, journal.said
    record.samples = figures.thinned(ledger.samples, SAMPLES_MAX)
    record.samples_left_out = len(ledger.samples) - len(record.samples)
    record.seen, record.findings = sightings.seen(), findings
    record.figures = figures.figures_of(history, findings, ledger.samples)
    if this.steady_at_s:
        record.figures["healed_s"] = round(this.steady_at_s - this.healed_at_s, 3)
    scene = expectations.Scene(history, record, sightings.sides, scenario, this.looked)
    record.expected = [
        expectations.judge(scene, one, place) for place, one in enumerate(this.expects)
    ]
    if this.unsteady:
        record.expected.append(Expected("steady after healing", Verdict.INVALID, this.unsteady))
    others = [(one.verdict, f"{one.text}: {one.why}") for one in record.expected]
    record.verdict, record.reason = verdict_of(findings, others, this.failed)
    return record


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "platform": sys.platform,
    }


def _relative(path: Path, cluster: Cluster) -> str:
    try:
        return str(path.relative_to(cluster.directory))
    except ValueError:
        return str(path)
