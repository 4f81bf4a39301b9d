"""`kith chaos gradual` and `blast`: many runs whose result is one, in a directory of their own.

    chaos-runs/20261127-043000-gradual-loss-1/     report.html, series.json
        01-5pc/  02-10pc/  …                       each run with its page, record and logs

Rules this module keeps:

1. Page and document are written anew after each run: Ctrl-C and errors leave what is known so far.
2. A broken promise at a high rate is what a climb looks for, and no failure of the command.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from chaos.cli.errors import INTERRUPTED, UNKNOWN, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import plain, show
from chaos.cluster.cluster import Ability, ClusterError, ClusterPlan, names_of
from chaos.cluster.kinds import make_cluster
from chaos.faults import FAULTS
from chaos.monkey import blast as blasting
from chaos.monkey import gradual as climbing
from chaos.reports.page import PAGE
from chaos.reports.series import document, pages, text
from chaos.reports.series.document import Series
from chaos.reports.series.reach import Blast
from chaos.running.record import RunRecord
from chaos.scenarios.scenario import Scenario

from .listing import VOCABULARY
from .running import CODES, Told, perform


def gradual(arguments: argparse.Namespace, *, as_json: bool) -> int:
    """Climb a ramp until a run is not valid; the exit code: 0 if some rate was borne.

    Raises:
        CommandError: wrong usage, or a cluster that cannot be had.
    """
    names, name = names_of(arguments.nodes), arguments.ramp
    try:
        rates = climbing.rates_of(name, arguments.rates) if arguments.rates else ()
        scenarios = climbing.scenarios_of(name, names, VOCABULARY, rates)
    except ValueError as error:
        raise CommandError(f"--rates: {error}") from None
    rates = rates or climbing.RAMPS[name].rates
    if reason := _why_not(arguments, names, climbing.RAMPS[name].kind):
        raise CommandError(
            f"gradual {name} cannot be done on --cluster {arguments.cluster}: {reason}",
            exit_code=UNKNOWN,
        )
    climb = climbing.climb_of(name, names, rates, arguments.seed)
    directory = _begin(climb, arguments, f"gradual-{name}")
    _say(f"{climb.title}: up to {_about(len(rates), climbing.RUN_S)}; it ends where one breaks")

    def run(scenario: Scenario) -> RunRecord:
        place = len(climb.steps)
        told = f"{place + 1} of {len(rates)}: {climb.told(climb.rates[place])}"
        _say(told)
        where = f"{place + 1:02}-{rates[place].replace('%', 'pc')}"
        return _run(scenario, arguments, climb, Told(directory / where, f"gradual {told}"))

    def go_on() -> None:
        for step, record in climbing.steps(rates, scenarios, run):
            where = f"{len(climb.steps) + 1:02}-{rates[len(climb.steps)].replace('%', 'pc')}"
            step = climbing.placed(step, where)
            climb.steps.append(step)
            _note(climb, record, directory)
            _say(text.line_of_step(climb, step))

    _until_done(climb, go_on, directory)
    page = directory / PAGE
    show(json_text(_told(climb, page)) if as_json else text.text_of_climb(climb, page))
    return INTERRUPTED if climb.interrupted else CODES[climb.verdict]


def blast(arguments: argparse.Namespace, *, as_json: bool) -> int:
    """Let each node fail alone in each way; the exit code is that of the worst run.

    Raises:
        CommandError: wrong usage, or a cluster that cannot be had.
    """
    names = names_of(arguments.nodes)
    ways, left_out = _ways(arguments, names)
    scenarios = list(blasting.scenarios_of(names, VOCABULARY, ways, _failing(arguments, names)))
    found = Blast(
        about=blasting.ABOUT, cluster="", nodes=names, seed=arguments.seed, started_at="",
        commit="", replay="", left_out=left_out, planned=len(scenarios),
    )  # fmt: skip
    directory = _begin(found, arguments, "blast")
    _say(f"{len(scenarios)} failures: {_about(len(scenarios), blasting.RUN_S)}")

    def where() -> str:
        node, way, _ = scenarios[len(found.effects)]
        return f"{len(found.effects) + 1:02}-{way}-{node}"

    def run(scenario: Scenario) -> RunRecord:
        told = f"{len(found.effects) + 1} of {len(scenarios)}: {scenario.title}"
        _say(told)
        return _run(scenario, arguments, found, Told(directory / where(), f"blast {told}"))

    def go_on() -> None:
        for effect, record in blasting.effects(scenarios, run):
            effect = blasting.placed(effect, where())
            found.effects.append(effect)
            _note(found, record, directory)
            _say(text.line_of_effect(effect))

    _until_done(found, go_on, directory)
    page = directory / PAGE
    show(json_text(_told(found, page)) if as_json else text.text_of_blast(found, page))
    return INTERRUPTED if found.interrupted else CODES[found.verdict]


def _ways(
    arguments: argparse.Namespace, names: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The ways to fail that this cluster can do, and why not the others."""
    asked = arguments.ways.split(",") if arguments.ways else blasting.WAYS
    for way in asked:
        if way not in blasting.WAYS:
            raise CommandError(
                f"--ways: {way!r} is no way to fail", hint=f"they are {', '.join(blasting.WAYS)}"
            )
    left_out = {way: why for way in asked if (why := _why_not(arguments, names, way))}
    for way, why in left_out.items():
        _say(f"not tried: {way}; {why}")
    ways = tuple(way for way in dict.fromkeys(asked) if way not in left_out)
    if not ways:
        raise CommandError(
            f"no way to fail can be tried on --cluster {arguments.cluster}", exit_code=UNKNOWN
        )
    return ways, left_out


def _failing(arguments: argparse.Namespace, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in arguments.failing:
        if name not in names:
            raise CommandError(
                f"{name!r} is no node of this cluster", hint=f"its nodes are {', '.join(names)}"
            )
    return tuple(dict.fromkeys(arguments.failing))


def _why_not(arguments: argparse.Namespace, names: tuple[str, ...], kind: str) -> str:
    """What keeps the cluster from a fault; empty if nothing does. Raises CommandError."""
    needs = FAULTS[kind].needs | {Ability.PROCESSES}
    plan = ClusterPlan(names=names, needs=needs)
    try:
        cluster = make_cluster(arguments.cluster, plan, arguments.dir)
    except ClusterError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    ordered = sorted(needs, key=lambda one: one.value)
    return next((reason for one in ordered if (reason := cluster.why_not(one))), "")


def _begin(series: Series, arguments: argparse.Namespace, name: str) -> Path:
    """The directory of its runs. Raises CommandError."""
    now = datetime.now(UTC)
    directory: Path = arguments.dir / f"{now.strftime('%Y%m%d-%H%M%S')}-{name}-{arguments.seed}"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise CommandError(f"{directory}: {error.strerror}", exit_code=UNKNOWN) from None
    series.started_at = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    series.cluster, series.replay = arguments.cluster, _again(arguments)
    return directory


def _run(
    scenario: Scenario, arguments: argparse.Namespace, series: Series, told: Told
) -> RunRecord:
    record, _ = perform(scenario, arguments.seed, arguments, series.replay, told)
    return record


def _note(series: Series, record: RunRecord, directory: Path) -> None:
    """Keep what is known so far. Raises CommandError."""
    series.commit = record.commit
    if not isinstance(series, Blast):
        series.means |= record.means
    _write(series, directory)


def _write(series: Series, directory: Path) -> None:
    try:
        document.save(series, directory)
        pages.write(series, directory)
    except OSError as error:
        raise CommandError(f"{directory}: {error.strerror}", exit_code=UNKNOWN) from None


def _until_done(series: Series, go_on: Callable[[], None], directory: Path) -> None:
    """All of it, or until Ctrl-C."""
    try:
        go_on()
    except KeyboardInterrupt:
        series.interrupted = True
    _write(series, directory)


def _told(series: Series, page: Path) -> dict[str, Json]:
    return {**document.document_of(series), "page": str(page)}


def _about(runs: int, each_s: float) -> str:
    minutes = runs * each_s / 60
    return f"{runs} runs of about {each_s:g} s, {minutes:.0f} min" if minutes >= 1 else (
        f"{runs} runs of about {each_s:g} s"
    )  # fmt: skip


def _say(message: str) -> None:
    sys.stderr.write(f"kith chaos: {plain(message)}\n")
    sys.stderr.flush()


def _again(arguments: argparse.Namespace) -> str:
    words: list[str] = ["kith", "chaos", arguments.chaos_verb]
    if arguments.chaos_verb == "gradual":
        words += [arguments.ramp, *(["--rates", arguments.rates] if arguments.rates else [])]
    else:
        words += [*arguments.failing, *(["--ways", arguments.ways] if arguments.ways else [])]
    nodes, seed = str(arguments.nodes), str(arguments.seed)
    return shlex.join([*words, "--nodes", nodes, "--seed", seed, "--cluster", arguments.cluster])
