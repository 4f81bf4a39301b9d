"""A scenario put to a real cluster, from its start to the record of what came of it.

    start ─▶ steady ─▶ clients, watchers ─▶ faults ─▶ all healed ─▶ steady again ─▶ settled ─▶ judge
                       second 0             as their   writers end   lookups go on   for as long
                                            times say                                as limits ask

Rules this module keeps:

1. Every fault that was begun is healed, whatever happened: an error, Ctrl-C, a node that died.
2. A fault that could not be done, or a cluster that was not steady before, makes the run
   `unknown`: it proves nothing.
3. A cluster has as much time after the faults as the checkers allow it, or they would say nothing.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Protocol

from chaos.cli.origin import origin
from chaos.cluster.cluster import Ability, Cluster, Member
from chaos.cluster.kinds import running
from chaos.faults.fault import Stage
from chaos.history import History
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

from . import expectations, figures
from .acting import Acts
from .healing import healed_s
from .identities import Identities
from .journal import Journal, RunClock
from .judging import Observed, history_of, judge, quiet_until_s, verdict_of, view_of
from .ledger import Ledger
from .logs import Log, read_log
from .moments import worst_moments
from .record import SAMPLES_MAX, Expected, RunRecord
from .spreading import Followers, coverage_of
from .steady import why_not_steady
from .watching import Watchers
from .workload import Clients

POLL_S = 0.05
LOOKS_S = 2.0
"""Of lookups after the time that everything has to be everywhere."""
START_S = 10.0
JUDGE_S = 2.0
Look = Callable[[], None]


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
    clock: RunClock
    journal: Journal
    identities: Identities
    ledger: Ledger
    clients: Clients
    watchers: Watchers
    followers: Followers
    acts: Acts
    expects: list[expectations.Expects]
    looked: dict[int, list[str]] = field(default_factory=dict)
    failed: str = ""
    """Why it proves nothing."""
    unsteady: str = ""
    """What did not come right after the faults."""
    steady_at_s: float | None = None

    @staticmethod
    def of(scenario: Scenario, cluster: Cluster, seed: int, teller: Teller) -> "_Run":
        clock, identities = RunClock(), Identities()
        journal, ledger = Journal(clock, teller.say), Ledger(clock, identities)
        return _Run(
            scenario, cluster, seed, teller, clock, journal, identities, ledger,
            Clients(cluster, scenario.workload, ledger, seed=seed),
            Watchers(cluster, clock, identities, suspects_of(scenario)),
            Followers(cluster, clock),
            Acts(Stage(cluster, journal, Random(f"{seed}/faults")), clock, journal),
            [expectations.read(one, scenario.plan.names) for one in scenario.expectations],
        )  # fmt: skip

    @property
    def healed_at_s(self) -> float:
        """When the last fault was over; where there was none, when they were to be."""
        healed_s = self.acts.healed_at_s
        return self.scenario.faults_s if healed_s is None else healed_s

    def meant_to_run(self) -> list[Member]:
        """All but the late ones that nobody started."""
        late = self.scenario.plan.late
        return [one for one in self.cluster.members if one.name not in late or one.pid]


def run(
    scenario: Scenario, cluster: Cluster, *, seed: int, teller: Teller, replay: str
) -> RunRecord:
    """Run it; the cluster is started here, and closed.

    Args:
        scenario: what is to be done.
        cluster: made by the scenario's plan, and not started.
        seed: of all that is drawn: what clients ask for and when, and what faults draw.
        teller: told how it goes.
        replay: the command that runs it again, for the record.

    Raises:
        ClusterError: the cluster could not be made, or something of it is left.
        KeyboardInterrupt: Ctrl-C; all is healed and closed.
    """
    this = _Run.of(scenario, cluster, seed, teller)
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    begun = time.perf_counter()
    teller.phase("starting", START_S)
    with running(cluster):
        try:
            _await_steady_before(this)
            this.clock.begin()
            zero_mono_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            if not this.failed:
                _work(this)
            history = _seen_at_the_end(this)
        except (KeyboardInterrupt, SystemExit):
            this.journal.say("interrupted; all faults are healed, and the cluster is closed")
            raise
    logs = {member.name: read_log(member.name, member.log) for member in cluster.members}
    record = _recorded(this, history)
    record.started_at, record.replay, record.zero_mono_ns = started_at, replay, zero_mono_ns
    record.duration_s = round(time.perf_counter() - begun, 1)
    record.logs = {member.name: _relative(member.log, cluster) for member in cluster.members}
    _judge(this, record, history, logs)
    record.moments = worst_moments(record, history, logs)
    return record


def suspects_of(scenario: Scenario) -> tuple[str, ...]:
    """The nodes whose keys will be misused."""
    hostile = (step for step in scenario.steps if Ability.HOSTILE in step.kind.needs)
    return tuple(dict.fromkeys(name for step in hostile for name in step.victims))


def _await_steady_before(this: _Run) -> None:
    """Wait until the cluster is steady, or the time for that is over: then the run has failed."""
    scenario = this.scenario
    this.teller.phase("steady before", scenario.steady_within_s)
    members = [one for one in this.cluster.members if one.name not in scenario.plan.late]
    begun = time.perf_counter()
    while why := why_not_steady(members):
        spent_s = time.perf_counter() - begun
        this.teller.progress(spent_s)
        if spent_s > scenario.steady_within_s:
            this.failed = (
                f"it was not steady {scenario.steady_within_s:g} s after its start, so no fault "
                f"was tried: {why}"
            )
            this.journal.say(this.failed)
            break
        time.sleep(POLL_S)
    for member in members:
        this.identities.learn(member)


def _work(this: _Run) -> None:
    """Clients, faults, healing: all from second 0 until it is judged."""
    scenario = this.scenario
    this.watchers.start()
    this.followers.start()
    this.clients.start()
    try:
        this.teller.phase("faults", scenario.faults_s)
        this.acts.play(scenario.steps, _looks(this), scenario.faults_s, this.teller.progress)
        this.failed = this.acts.failed
        this.clients.stop_writing()
        written_s = this.clock.now_s()
        _await_steady_again(this)
        _settle(this, written_s)
    finally:
        this.clients.stop()
        this.watchers.stop()
        this.followers.stop()


def _looks(this: _Run) -> list[tuple[float, Look]]:
    """What expectations have to see for themselves, and when."""
    return [
        (expects.look_at_s, _look(this, place, expects))
        for place, expects in enumerate(this.expects)
        if expects.look_at_s is not None and expects.look_at_s < expectations.AT_THE_END
    ]


def _look(this: _Run, place: int, expects: expectations.Expects) -> Look:
    def look() -> None:
        this.looked[place] = expects.look(this.cluster)

    return look


def _await_steady_again(this: _Run) -> None:
    within_s, clock, journal = this.scenario.steady_within_s, this.clock, this.journal
    healed_at_s = this.healed_at_s
    this.teller.phase("healing", within_s)
    while why := why_not_steady(this.meant_to_run(), journal.villains):
        spent_s = clock.now_s() - healed_at_s
        this.teller.progress(spent_s)
        if spent_s > within_s:
            this.unsteady = f"not steady {within_s:g} s after healing: {why}"
            journal.say(this.unsteady)
            break
        time.sleep(POLL_S)
    else:
        this.steady_at_s = clock.now_s()
        journal.say("steady again: all ready, all alive to each other, all roots equal")
    journal.span(figures.HEALING, "until the cluster is steady again", (), healed_at_s)


def _settle(this: _Run, written_s: float) -> None:
    """Wait until everything can be judged; lookups go on."""
    clock = this.clock
    begun_s = clock.now_s()
    until_s = max(
        begun_s + this.scenario.settle_s,
        quiet_until_s(this.journal, max(this.healed_at_s, written_s)) + LOOKS_S,
    )
    this.teller.phase("settling", until_s - begun_s)
    while clock.now_s() < until_s:
        this.teller.progress(clock.now_s() - begun_s)
        time.sleep(POLL_S)


def _seen_at_the_end(this: _Run) -> History:
    """What nodes show, and all that was seen before."""
    scenario, cluster, ledger = this.scenario, this.cluster, this.ledger
    this.teller.phase("judging", JUDGE_S)
    for place, expects in enumerate(this.expects):
        if expects.look_at_s == expectations.AT_THE_END:
            this.looked[place] = expects.look(cluster)
    services = [f"shop-{number}" for number in range(scenario.workload.services)]
    edits = {one.number: one for one in ledger.document_writes}
    suspects = suspects_of(scenario)
    found = (
        view_of(member, services, this.identities, edits, suspects)
        for member in this.meant_to_run()
    )
    views = [view for view in found if view is not None]
    return history_of(
        Observed(
            cluster, this.journal, ledger, this.watchers.sightings, this.identities, views,
            this.healed_at_s, this.clock.now_s(),
        )
    )  # fmt: skip


def _judge(this: _Run, record: RunRecord, history: History, logs: Mapping[str, Log]) -> None:
    """What the expectations come to, and all together."""
    sightings = this.watchers.sightings
    scene = expectations.Scene(history, record, sightings, this.scenario, this.looked, logs)
    record.expected = [
        expectations.judge(scene, one, place) for place, one in enumerate(this.expects)
    ]
    if this.unsteady:
        record.expected.append(Expected("steady after healing", Verdict.INVALID, this.unsteady))
    others = [(one.verdict, f"{one.text}: {one.why}") for one in record.expected]
    record.verdict, record.reason = verdict_of(record.findings, others, this.failed)


def _recorded(this: _Run, history: History) -> RunRecord:
    """All but its logs and what the expectations come to."""
    scenario, cluster, ledger = this.scenario, this.cluster, this.ledger
    record = RunRecord(
        scenario=scenario.name, title=scenario.title, about=scenario.about, cluster=cluster.kind,
        nodes=cluster.plan.names, seed=this.seed, started_at="", commit=origin(),
        versions=_versions(), replay="", source=scenario.source, verdict=Verdict.UNKNOWN,
        reason="",
    )  # fmt: skip
    record.spans, record.said = this.journal.spans, this.journal.said
    record.means = dict(this.acts.stage.means)
    record.samples = figures.thinned(ledger.samples, SAMPLES_MAX)
    record.samples_left_out = len(ledger.samples) - len(record.samples)
    record.seen, record.findings = this.watchers.sightings.seen(), judge(history)
    record.coverage = coverage_of(history, this.followers.arrivals)
    record.figures = figures.figures_of(history, record.findings, ledger.samples)
    record.figures |= figures.spread(record.coverage)
    record.figures |= figures.under_faults(history, record.spans)
    held_bytes = this.watchers.sightings.memory_bytes.values()
    if held_bytes:
        record.figures["memory_max_bytes"] = max(held_bytes)
    took_s = None if this.steady_at_s is None else healed_s(history)
    if took_s is not None:
        record.figures["healed_s"] = round(took_s, 3)
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
