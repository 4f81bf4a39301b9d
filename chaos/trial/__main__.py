"""Judge the failure detector: `python -m chaos.trial --scenario split:.5 --nodes 32`.

Every combination of protocol, nodes, scenario and loss is a line; each runs on every seed. The
table goes to standard output, progress to standard error.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from protocol.detector.config import MembershipConfig

from .judge import HOLD_S, PROTOCOLS, SWIM_HOLD_S, Case, judge
from .scenario import Scenario
from .table import HEAD, document, line

PROFILES = {
    "local": MembershipConfig.local,
    "lan": MembershipConfig.lan,
    "wan": MembershipConfig.wan,
    "hostile": MembershipConfig.hostile,
}
STANDARD = (
    "quiet,crash:1,crash:.25,split:.5,split:.1,oin:.33,oout:.33,ring,bridge,lie:.125,pause:.25,"
    "hic:.25,restart:.25"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 64 and a sentence if they make no sense."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        cases = _cases(asked)
        seeds = _seeds(asked.seeds)
    except ValueError as error:
        print(f"chaos.trial: {error}", file=sys.stderr)  # noqa: T201 (a command line)
        return 64
    show = document if asked.json else line
    console = Console(stderr=True)
    if not asked.json:
        print(HEAD, flush=True)  # noqa: T201 (a command line)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("trials", total=len(cases) * len(seeds))
        results = judge(cases, seeds, jobs=asked.jobs, done=lambda: progress.advance(bar))
        for case, figures in results:
            print(show(case, figures), flush=True)  # noqa: T201 (a command line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos.trial", description="The failure detector on trial, beside SWIM."
    )
    add = parser.add_argument
    add("--scenario", default=STANDARD, help="kinds with amounts, with commas between: %(default)s")
    add("--nodes", default="32", help="sizes, with commas between (%(default)s)")
    add("--loss", default="0.1", help="shares of datagrams lost, with commas (%(default)s)")
    add("--seeds", default="101..104", help="the first and the last: %(default)s")
    add("--protocol", default="kith", help=f"of {', '.join(PROTOCOLS)}, with commas (%(default)s)")
    add("--profile", default="lan", choices=sorted(PROFILES), help="the parameters (%(default)s)")
    add(
        "--hold",
        type=float,
        metavar="SECONDS",
        help=f"how long a fault lasts ({HOLD_S:g}; swim {SWIM_HOLD_S:g})",
    )
    add("--jobs", type=int, default=1, choices=(1, 2), help="processes (%(default)s)")
    add("--json", action="store_true", help="a line of JSON for each case")
    return parser


def _cases(asked: argparse.Namespace) -> list[Case]:
    config = PROFILES[asked.profile]()
    protocols = asked.protocol.split(",")
    if unknown := [name for name in protocols if name not in PROTOCOLS]:
        raise ValueError(f"no protocol {unknown[0]!r}; there are {', '.join(PROTOCOLS)}")
    sizes = [int(size) for size in asked.nodes.split(",")]
    losses = [float(loss) for loss in asked.loss.split(",")]
    if min(sizes) < 2:
        raise ValueError("a cluster has two nodes or more")
    scenarios = [Scenario.parse(text) for text in asked.scenario.split(",")]
    return [
        Case(protocol, size, scenario, loss, config, asked.hold)
        for protocol, size, scenario, loss in product(protocols, sizes, scenarios, losses)
    ]


def _seeds(text: str) -> range:
    first, _, last = text.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    if not seeds:
        raise ValueError(f"no seed in {text!r}")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
