"""`kith chaos monkey`: a scenario that nobody wrote."""

import argparse
import shlex
import sys

from chaos.cli.errors import UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import show
from chaos.cluster.cluster import ClusterError, ClusterPlan, names_of
from chaos.cluster.kinds import make_cluster
from chaos.monkey.drawing import Drawn, draw
from chaos.monkey.limits import Limits
from chaos.reports import document, summary

from .listing import VOCABULARY
from .running import CODES, perform

SCENARIO = "scenario.toml"


def monkey(arguments: argparse.Namespace, *, as_json: bool) -> int:
    """Draw a scenario by its seed and run it; the exit code. Raises CommandError."""
    drawn = _drawn(arguments)
    for kind, why in drawn.left_out.items():
        sys.stderr.write(f"kith chaos: not drawn: {kind}; {why}\n")
    source = drawn.scenario.source
    if arguments.write is not None:
        try:
            arguments.write.write_text(source, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{arguments.write}: {error.strerror}", exit_code=UNKNOWN) from None
        show(f"written: {arguments.write}")
        return VALID
    record, report = perform(drawn.scenario, arguments.seed, arguments, _again(arguments))
    (report.parent / SCENARIO).write_text(source, encoding="utf-8")
    runs: list[Json] = [document.document_of(record)]
    show(json_text({"runs": runs}) if as_json else summary.text_of(record, report))
    return CODES[record.verdict]


def _drawn(arguments: argparse.Namespace) -> Drawn:
    names = names_of(arguments.nodes)
    try:
        limits = Limits(
            most_down=arguments.most_down, heal_within_s=arguments.heal_within,
            calm_s=arguments.calm, for_s=arguments.for_s,
        )  # fmt: skip
        cluster = make_cluster(arguments.cluster, ClusterPlan(names=names), arguments.dir)
        return draw(names, arguments.seed, limits, VOCABULARY, cluster.why_not)
    except ValueError as error:
        raise CommandError(str(error)) from None
    except ClusterError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None


def _again(arguments: argparse.Namespace) -> str:
    words = ["kith", "chaos", "monkey"]
    words += ["--for", f"{arguments.for_s:g}s", "--most-down", str(arguments.most_down)]
    words += ["--heal-within", f"{arguments.heal_within:g}s", "--calm", f"{arguments.calm:g}s"]
    nodes, seed = str(arguments.nodes), str(arguments.seed)
    return shlex.join([*words, "--nodes", nodes, "--seed", seed, "--cluster", arguments.cluster])
