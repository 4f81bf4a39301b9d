"""`kith chaos run`: scenarios one after another, each on a cluster of its own.

Rules this module keeps:

1. The exit code is that of the worst run: invalid before unknown before valid.
2. Each run has a directory of its own with its logs and its record, whatever became of it.
"""

import argparse
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from chaos.cli.errors import INTERRUPTED, INVALID, UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import section, show
from chaos.cluster.cluster import Ability, Cluster, ClusterError
from chaos.cluster.kinds import make_cluster
from chaos.reports import document, page, summary
from chaos.running.record import RunRecord
from chaos.running.run import run as run_scenario
from chaos.scenarios.reading import named_scenarios
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

from .directories import marked
from .listing import scenario_of
from .telling import telling

CODES = {Verdict.VALID: VALID, Verdict.INVALID: INVALID, Verdict.UNKNOWN: UNKNOWN}
_WORST = (Verdict.INVALID, Verdict.UNKNOWN, Verdict.VALID)


def run(arguments: argparse.Namespace, *, as_json: bool) -> int:
    """Run what the arguments name; the exit code.

    Raises:
        CommandError: wrong usage, or a cluster that cannot be had.
    """
    scenarios = [_with_old_build(one, arguments.old_build) for one in _chosen(arguments)]
    records: list[RunRecord] = []
    code = None
    try:
        for record, report in _each(scenarios, arguments):
            records.append(record)
            if not as_json:
                show(summary.text_of(record, report))
            if record.verdict is not Verdict.VALID and not arguments.keep_going:
                break
    except KeyboardInterrupt:
        code = INTERRUPTED
    if as_json:
        runs: list[Json] = [document.document_of(record) for record in records]
        show(json_text({"runs": runs, "interrupted": code is not None}))
    elif len(records) > 1:
        show(section("all runs", summary.table_of(records)))
    worst = next((one for one in _WORST if any(r.verdict is one for r in records)), None)
    if code is None:
        code = CODES[worst] if worst is not None else VALID  # all were skipped, and that was said
    return code


def _each(
    scenarios: Sequence[Scenario], arguments: argparse.Namespace
) -> Iterator[tuple[RunRecord, Path]]:
    for scenario in scenarios:
        if arguments.skip_impossible and (reason := _why_impossible(scenario, arguments)):
            sys.stderr.write(f"kith chaos: SKIPPED, NOT RUN: {scenario.name}; {reason}\n")
            continue
        for seed in range(arguments.seed, arguments.seed + arguments.repeat):
            yield perform(scenario, seed, arguments)


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    words = list(arguments.scenarios)
    if arguments.all or arguments.quick:
        if words:
            raise CommandError("--all and --quick choose scenarios; name none beside them")
        chosen = [scenario_of(name) for name in named_scenarios()]
        kind = arguments.cluster
        chosen = [one for one in chosen if kind in one.clusters or kind == "processes"]
        return [one for one in chosen if one.quick or arguments.all]
    if not words:
        raise CommandError("no scenario is named", hint="kith chaos list shows all")
    return [scenario_of(word) for word in words]


def _why_impossible(scenario: Scenario, arguments: argparse.Namespace) -> str:
    """What keeps this machine from running it; empty if nothing does."""
    try:
        cluster = make_cluster(arguments.cluster, scenario.plan, arguments.dir)
    except ClusterError as error:
        return str(error)
    abilities = sorted({*scenario.plan.needs, Ability.PROCESSES}, key=lambda one: one.value)
    return next((reason for one in abilities if (reason := cluster.why_not(one))), "")


def _with_old_build(scenario: Scenario, old_build: Path | None) -> Scenario:
    if not scenario.plan.old:
        return scenario
    if old_build is None:
        raise CommandError(
            f"{scenario.name} has nodes of another version",
            hint="make a checkout, git worktree add ../old HEAD~1, and give --old-build ../old",
        )
    return replace(scenario, plan=replace(scenario.plan, old_root=old_build.resolve()))


@dataclass(frozen=True, slots=True)
class Told:
    """Where a run that is one of several goes, and what it is called meanwhile."""

    directory: Path
    """The run's own; it is made."""
    name: str


def perform(
    scenario: Scenario,
    seed: int,
    arguments: argparse.Namespace,
    replay: str = "",
    told: Told | None = None,
) -> tuple[RunRecord, Path]:
    """One run with its record and its page. Raises CommandError.

    Args:
        scenario: what to run.
        seed: of all that is drawn.
        arguments: `cluster`, `dir`, `keep`.
        replay: the command that runs it again; without, that of a scenario by its name.
        told: of one of several runs; without, it has a directory of its own in `dir`.
    """
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    own = Told(arguments.dir / f"{now}-{scenario.name}-{seed}", f"{scenario.name}, seed {seed}")
    told = told or own
    directory = told.directory
    try:
        directory.mkdir(parents=True)
        cluster = make_cluster(arguments.cluster, scenario.plan, directory)
        with marked(directory), telling(told.name) as teller:
            record = run_scenario(
                scenario, cluster, seed=seed, teller=teller,
                replay=replay or _replay(scenario, seed, arguments),
            )  # fmt: skip
    except ClusterError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except OSError as error:
        raise CommandError(f"{directory}: {error.strerror}", exit_code=UNKNOWN) from None
    try:
        document.save(record, directory / document.RECORD)
        report = page.write(record, directory)
    except OSError as error:
        raise CommandError(f"{directory}: {error.strerror}", exit_code=UNKNOWN) from None
    if not arguments.keep:
        _drop_data(cluster, directory)
    return record, report


def _replay(scenario: Scenario, seed: int, arguments: argparse.Namespace) -> str:
    word = next(
        (word for word in arguments.scenarios if Path(word).stem == scenario.name), scenario.name
    )
    words = ["kith", "chaos", "run", word, "--seed", str(seed), "--cluster", arguments.cluster]
    if arguments.old_build is not None and scenario.plan.old:
        words += ["--old-build", str(arguments.old_build)]
    return shlex.join(words)


def _drop_data(cluster: Cluster, directory: Path) -> None:
    """The nodes' databases and keys; their logs stay."""
    for member in cluster.members:
        if member.data_dir.is_relative_to(directory.absolute()):
            shutil.rmtree(member.data_dir, ignore_errors=True)
