"""`python -m benchmarks.simulation`: take figures of simulated clusters, draw them, print them.

Each command measures what is missing, a trial at a time; what was measured is kept in `--work`, so
a run that was interrupted goes on where it was. Its document (JSON) goes to `--out`, its tables to
standard output, progress to standard error. Exit codes: 0; 1 if a trial failed; 2 if it could not
be run so; 130 after Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cluster.fleet import BenchError
from benchmarks.measuring import INTERRUPTED, MISSED, NOT_RUN, say
from benchmarks.report.drawing import DrawingError
from chaos.sim.swarm import NODES_MAX, NODES_MIN
from node.cli.local_cluster import ClusterError
from node.cli.options import whole

from . import byzantine, cluster, curve, loss, pauses, step
from .cluster import RealError
from .drawing import draw_curve
from .journal import ROOT, Journal, code_hash
from .page import Figures, PageError, filled
from .tables import Row
from .trials import Kind, ResultT, TrialError, TrialT, carry_out

WORK = ROOT / "benchmarks" / "out" / "simulation"
OUT = ROOT / "docs" / "figures"
PAGE = ROOT / "docs" / "SIMULATION.md"
SEEDS_MAX = 100_000
JOBS_MAX = 64
STEP_MS = 0.5
CORES = 2
ACK_MS = 6.5
LOSSY_NODES_MAX = 3_000


def main(argv: Sequence[str] | None = None) -> int:
    """Do one command."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except TrialError as error:
        say(f"{error}: {error.__cause__!r}")
        return MISSED
    except (RealError, DrawingError, PageError, BenchError, ClusterError, OSError) as error:
        say(str(error))
        return NOT_RUN
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return INTERRUPTED
    return 0


def _curve(arguments: argparse.Namespace) -> None:
    trials = curve.trials_of(
        arguments.nodes,
        arguments.loss,
        arguments.seeds,
        arguments.updates,
        lossy_nodes_max=arguments.lossy_nodes_max,
    )
    results = _measured(curve.KIND, trials, arguments)
    rows = curve.rows_of(trials, results)
    _finish("curve", arguments, {"curve": rows})
    draw_curve(rows, arguments.out / "curve.svg")
    say(f"the picture: {arguments.out / 'curve.svg'}")


def _loss(arguments: argparse.Namespace) -> None:
    trials = loss.trials_of(arguments.nodes, arguments.loss, arguments.seeds)
    results = _measured(loss.KIND, trials, arguments)
    _finish("loss", arguments, {"loss": loss.rows_of(trials, results)})


def _pauses(arguments: argparse.Namespace) -> None:
    trials = pauses.trials_of(
        arguments.paused,
        arguments.pause,
        arguments.between,
        arguments.seeds,
        nodes=arguments.nodes[0],
        loss=arguments.loss[0],
    )
    results = _measured(pauses.KIND, trials, arguments)
    _finish("pauses", arguments, {"pauses": pauses.rows_of(trials, results)})


def _cluster(arguments: argparse.Namespace) -> None:
    real = cluster.real_of(arguments.real, arguments.real_figure)
    trials = cluster.trials_of(
        arguments.nodes,
        arguments.seeds,
        cluster.Machine(arguments.step_ms, arguments.cores, arguments.ack_ms),
        updates=arguments.updates,
        kills=arguments.kills,
    )
    results = _measured(cluster.KIND, trials, arguments)
    _finish("cluster", arguments, {"cluster": cluster.rows_of(trials, results, real)})


def _byzantine(arguments: argparse.Namespace) -> None:
    profiles = arguments.profile or byzantine.PROFILES
    trials = []
    for profile in profiles:
        lan = arguments.seeds_lan if profile == "byzantine" else None
        trials += byzantine.trials_of((profile,), lan or arguments.seeds)
        trials += byzantine.slander_of(profile, range(1, arguments.draws + 1), arguments.slander)
    results = _measured(byzantine.KIND, trials, arguments)
    for trial, result in zip(trials, results, strict=True):
        for name, witness in result.witnesses.items():
            say(f"{trial}: {name}: {witness}")
        if result.error:
            say(f"{trial}: {result.error}")
    lot = byzantine.lot_rows(profiles, arguments.draws)
    _finish("byzantine", arguments, {"byzantine": byzantine.rows_of(trials, results), "lot": lot})


def _step(arguments: argparse.Namespace) -> None:
    found = step.measure(arguments.nodes, arguments.updates, arguments.seed, say)
    print(
        f"{found.update_node_ms:.2f} ms of a processor a node and update,"
        f" above {found.idle_node_ms_s:.1f} ms/s idle;"
        f" {found.datagrams:.1f} datagrams a node and update: --step-ms {found.step_ms:.2f}"
    )


def _page(arguments: argparse.Namespace) -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, arguments.out), encoding="utf-8")
    say(f"the tables of {PAGE} are those of {arguments.out}")


def _measured(
    kind: Kind[TrialT, ResultT], trials: Sequence[TrialT], arguments: argparse.Namespace
) -> list[ResultT]:
    path: Path = arguments.work / f"{kind.name}.jsonl"
    journal = Journal(path, code_hash(), any_code=arguments.any_code)
    return carry_out(kind, trials, journal, jobs=arguments.jobs)


def _finish(name: str, arguments: argparse.Namespace, tables: dict[str, list[Row]]) -> None:
    left_out = ("command", "work", "out", "jobs", "any_code")
    about = {
        key: [one.name for one in value] if key == "real" else value
        for key, value in sorted(vars(arguments).items())
        if key not in left_out
    }
    figures = Figures(about, tables)
    figures.save(arguments.out / f"{name}.json")
    print(figures.text())
    say(f"the data: {arguments.out / f'{name}.json'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.simulation", description="Figures of simulated clusters."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = _command(commands, "curve", _curve, "an update by the size of the cluster", seeds="1..3")
    _nodes(one, [10, 30, 100, 300, 1_000, 3_000, 10_000])
    _losses(one, [0.0, 0.1])
    one.add_argument("--updates", type=whole(1, 1_000), default=5, help="of each cluster (5)")
    one.add_argument(
        "--lossy-nodes-max",
        type=whole(NODES_MIN, NODES_MAX),
        default=LOSSY_NODES_MAX,
        help=f"larger clusters are measured without loss only ({LOSSY_NODES_MAX})",
    )
    one = _command(commands, "loss", _loss, "crashes and false flags by loss", seeds="1..20")
    _nodes(one, [32, 128])
    _losses(one, [0.0, 0.05, 0.1, 0.2, 0.3])
    one = _command(commands, "pauses", _pauses, "Lifeguard's protocol", seeds="1..2")
    _nodes(one, [pauses.MEMBERS])
    _losses(one, [0.0])
    _seconds(one, "--pause", [0.128, 0.512, 2.048, 8.192, 16.384], "D")
    _seconds(one, "--between", [0.0, 1.024, 16.384], "I; 0: one pause only")
    one.add_argument(
        "--paused", type=whole(1, 10_000), nargs="+", default=[1, 4, 8, 16, 32], help="C"
    )
    _cluster_options(_command(commands, "cluster", _cluster, "beside real nodes", seeds="1..3"))
    one = _command(commands, "byzantine", _byzantine, "ten of a hundred lie", seeds="1..200")
    one.add_argument("--profile", action="append", choices=byzantine.PROFILES, help="(both)")
    one.add_argument("--seeds-lan", type=_seeds, help="A..B of profile byzantine (as --seeds)")
    one.add_argument(
        "--slander",
        type=whole(0, 1_000),
        default=10,
        help="seeds with somebody outvoted that are run with ten slanderers (10)",
    )
    one.add_argument(
        "--draws", type=whole(1, 1_000_000), default=10_000, help="seeds that are only drawn"
    )
    one = commands.add_parser("step", help="what a datagram costs real nodes of this machine")
    one.add_argument("--nodes", type=whole(2, 64), default=16, help="processes (16)")
    one.add_argument("--updates", type=whole(1, 1_000), default=60, help="(60)")
    one.add_argument("--seed", type=int, default=1, help="(1)")
    one.set_defaults(command=_step)
    one = commands.add_parser("page", help="write the tables into docs/SIMULATION.md")
    one.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    one.set_defaults(command=_page)
    return parser


def _cluster_options(parser: argparse.ArgumentParser) -> None:
    _nodes(parser, [8, 16, 32])
    parser.add_argument("--updates", type=whole(1, 1_000), default=20, help="(20)")
    parser.add_argument("--kills", type=whole(1, 1_000), default=5, help="(5)")
    parser.add_argument(
        "--step-ms", type=float, default=STEP_MS, help=f"of a datagram on a machine ({STEP_MS})"
    )
    parser.add_argument(
        "--ack-ms", type=float, default=ACK_MS, help=f"of a real node: update_ack_ms ({ACK_MS})"
    )
    parser.add_argument("--cores", type=whole(1, 1_024), default=CORES, help=f"({CORES})")
    parser.add_argument(
        "--real",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="what `python -m benchmarks.cluster --json FILE` wrote",
    )
    parser.add_argument(
        "--real-figure",
        nargs="*",
        default=[],
        metavar="N:FIGURE=VALUE",
        help="a single real median, as 32:update_all_ms=27.5",
    )


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    act: Callable[[argparse.Namespace], None],
    about: str,
    *,
    seeds: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about)
    parser.add_argument("--seeds", type=_seeds, default=_seeds(seeds), help=f"A..B ({seeds})")
    parser.add_argument("--jobs", type=whole(1, JOBS_MAX), default=1, help="processes (1)")
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR", help="kept results")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="the documents")
    parser.add_argument(
        "--any-code", action="store_true", help="also take up results of other versions of the code"
    )
    parser.set_defaults(command=act)
    return parser


def _nodes(parser: argparse.ArgumentParser, default: list[int]) -> None:
    parser.add_argument(
        "--nodes", type=whole(NODES_MIN, NODES_MAX), nargs="+", default=default, help=f"{default}"
    )


def _losses(parser: argparse.ArgumentParser, default: list[float]) -> None:
    parser.add_argument(
        "--loss", type=_share, nargs="+", default=default, help=f"of datagrams, 0 to 0.9; {default}"
    )


def _seconds(parser: argparse.ArgumentParser, name: str, default: list[float], what: str) -> None:
    parser.add_argument(
        name, type=_positive, nargs="+", default=default, metavar="S", help=f"{what}; {default}"
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 0.9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 0.9")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 3600 seconds")
    return value


def _seeds(text: str) -> list[int]:
    first, dots, last = text.partition("..")
    low, high = int(first), int(last if dots else first)
    if not 0 <= low <= high < low + SEEDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: give A..B, at most {SEEDS_MAX} seeds")
    return list(range(low, high + 1))


if __name__ == "__main__":
    sys.exit(main())
