"""What may be typed after `kith chaos`.

Rules this module keeps:

1. Every wrong value is refused before anything is started, with field, value and remedy.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from chaos.cli.durations import parse_s
from chaos.cli.errors import CommandError
from chaos.cluster.kinds import KINDS
from chaos.monkey.blast import WAYS
from chaos.monkey.gradual import RAMPS
from chaos.monkey.limits import Limits

CLUSTER_DEFAULT = "namespaces"
RUNS = Path("chaos-runs")
SEED_MAX = 2**63 - 1
REPEATS_MAX = 1_000
NODES_MAX = 32

EXAMPLES = """\
examples:
  kith chaos list                                    scenarios, faults, kinds of clusters
  kith chaos run split-majority                      five nodes, cut in three and two
  kith chaos run split-even ring-partition --seed 7 --repeat 3
  kith chaos run ./mine.toml --cluster processes     a scenario of one's own
  kith chaos monkey --seed 7 --for 10m               faults drawn by a seed, within limits
  kith chaos gradual loss                            how much loss a cluster bears
  kith chaos gradual delay --rates 50ms,1s --nodes 3
  kith chaos blast a --ways kill,isolate             who notices that node a failed, and when
  kith chaos report                                  a page over all runs so far
  kith chaos partition a,b c,d,e --cluster attach    hold a partition on a running cluster
  kith chaos heal --cluster attach                   and end it
  kith chaos clean --dry-run                         what killed runs left on this machine

exit codes: 0 valid, 1 invalid, 2 unknown, 64 wrong usage, 130 ended by Ctrl-C; of gradual: 0 some
rate was borne, whatever broke above it, 1 not even the lowest was, 2 a run proved nothing
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `kith chaos`, each with its options."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="chaos_verb")
    listing = verbs.add_parser("list", help="scenarios, faults, expectations, kinds of clusters")
    _add_json(listing)
    running = verbs.add_parser("run", help="put a cluster through scenarios, and judge it")
    _add_run(running)
    _add_drawn(verbs.add_parser("monkey", help="faults drawn by a seed, within safety limits"))
    climbing = verbs.add_parser("gradual", help="one fault at rising rates, until it is too much")
    climbing.add_argument("ramp", choices=tuple(RAMPS), help="which fault rises")
    climbing.add_argument(
        "--rates", metavar="R,R,…",
        help="which rates, ascending, such as " + " or ".join(
            one.example.replace("%", "%%") for one in RAMPS.values()
        ),
    )  # fmt: skip
    blasting = verbs.add_parser("blast", help="each node fails alone in each way: who noticed what")
    blasting.add_argument("failing", nargs="*", metavar="NODE", help="which nodes fail; all")
    blasting.add_argument("--ways", metavar="WAY,WAY", help=f"how they fail ({','.join(WAYS)})")
    for one in (climbing, blasting):
        _add_place(one)
    reporting = verbs.add_parser("report", help="pages made anew from runs, one over all of them")
    reporting.add_argument(
        "runs", nargs="*", type=Path, default=[RUNS], metavar="DIR",
        help=f"of a run, or of many ({RUNS})",
    )  # fmt: skip
    reporting.add_argument(
        "--write-docs", type=Path, metavar="FILE",
        help="also put the table of results between the markers of a page",
    )  # fmt: skip
    _add_json(reporting)
    for name, help_ in (
        ("partition", "cut a running cluster into groups, and leave it so"),
        ("heal", "end what `partition` did"),
    ):
        holding = verbs.add_parser(name, help=help_)
        if name == "partition":
            holding.add_argument(
                "groups", nargs="+", metavar="a,b", help="names of nodes that stay together"
            )
        _add_cluster(holding, "attach")
        _add_json(holding)

    _add_clean(verbs.add_parser("clean", help="remove what killed runs left on this machine"))


def _add_clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only what bears this name, such as kith-chaos-…"
    )
    parser.add_argument(
        "--dir", type=Path, default=RUNS, metavar="DIR",
        help=f"where directories of killed runs are looked for ({RUNS})",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show it, and remove nothing")
    _add_json(parser)


def _add_drawn(parser: argparse.ArgumentParser) -> None:
    limits = Limits()
    parser.add_argument(
        "--for", dest="for_s", type=seconds, default=limits.for_s, metavar="TIME",
        help="when all faults are over (2m)",
    )  # fmt: skip
    parser.add_argument(
        "--most-down", type=whole(1, NODES_MAX), default=limits.most_down, metavar="N",
        help=f"nodes out of action at once, at most ({limits.most_down})",
    )  # fmt: skip
    parser.add_argument(
        "--heal-within", type=seconds, default=limits.heal_within_s, metavar="TIME",
        help=f"no fault lasts longer ({limits.heal_within_s:g}s)",
    )  # fmt: skip
    parser.add_argument(
        "--calm", type=seconds, default=limits.calm_s, metavar="TIME",
        help=f"nothing is wrong for so long between faults ({limits.calm_s:g}s)",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="FILE",
        help="write the drawn scenario as a file, and run nothing",
    )  # fmt: skip
    _add_place(parser)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=whole(0, SEED_MAX), default=1, metavar="N")
    parser.add_argument("--nodes", type=whole(2, NODES_MAX), default=5, metavar="N")
    _add_cluster(parser, CLUSTER_DEFAULT)
    parser.add_argument("--dir", type=Path, default=RUNS, metavar="DIR", help=f"({RUNS})")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data")
    _add_json(parser)


def seconds(text: str) -> float:
    """Read a duration, for argparse. Raises ArgumentTypeError."""
    try:
        return parse_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:32]!r}: {error}") from None


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="a name, or a file that ends in .toml"
    )
    parser.add_argument("--all", action="store_true", help="all that come with Kith")
    parser.add_argument("--quick", action="store_true", help="the short set")
    parser.add_argument("--seed", type=whole(0, SEED_MAX), default=1, metavar="N")
    parser.add_argument(
        "--repeat", type=whole(1, REPEATS_MAX), default=1, metavar="N",
        help="so many runs of each, with the seeds that follow",
    )  # fmt: skip
    _add_cluster(parser, CLUSTER_DEFAULT)
    parser.add_argument(
        "--dir", type=Path, default=RUNS, metavar="DIR", help=f"where reports go ({RUNS})"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the nodes' data, beside their logs"
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="go on after a run that is not valid"
    )
    parser.add_argument(
        "--skip-impossible", action="store_true",
        help="say loudly which scenarios this machine cannot run, and go on without them",
    )  # fmt: skip
    parser.add_argument(
        "--old-build", type=Path, metavar="DIR",
        help="a checkout of another version, for scenarios with nodes of two",
    )  # fmt: skip
    _add_json(parser)


def _add_cluster(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--cluster", choices=tuple(KINDS), default=default, help=f"kind of cluster ({default})"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )


class whole:  # noqa: N801 - reads as what it makes
    """Reads a whole number within bounds, for argparse."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        """Raises ArgumentTypeError."""
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text[:32]!r} is no whole number") from None
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"{value} is not in {self._low}..{self._high}")
        return value


def groups_of(words: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The groups that `partition` is to cut apart.

    Raises:
        CommandError: a node is not there, or in two groups; fewer than two groups.
    """
    groups = tuple(tuple(name for name in word.split(",") if name) for word in words)
    named = [name for group in groups for name in group]
    for name in named:
        if name not in names:
            raise CommandError(
                f"{name!r} is no node of this cluster", hint=f"its nodes are {', '.join(names)}"
            )
        if named.count(name) > 1:
            raise CommandError(f"{name} is in two groups", hint="name each node once")
    if len(groups) < 2 or not all(groups):
        raise CommandError(
            "a partition has two groups or more", hint="such as: kith chaos partition a,b c,d,e"
        )
    return groups
