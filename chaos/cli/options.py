"""What may be typed after `kith sim`, read into one of three orders.

Rules this module keeps:

1. Every wrong value is refused before anything runs, with field, value and remedy.
2. An option that means nothing in the company of the others is refused, never ignored.
"""

import argparse
import os
from dataclasses import dataclass
from typing import TypeAlias

from chaos.mutants import UnknownMutantError, mutant_named

from .durations import parse_s
from .errors import CommandError
from .runs import PROFILE_DEFAULT, Request
from .tracefile import LINES_MAX_DEFAULT, STDOUT

SEED_MAX = 2**63 - 1
SEEDS_MAX = 1_000_000
"""In one sweep; more is a slip of the keyboard."""
JOBS_MAX = 64
NODES_MAX = 10_000
"""As many as a cluster has at most."""
LINES_MAX_MAX = 1_000_000_000
RUN_MAX_DEFAULT = "30m"

EXAMPLES = """\
examples:
  kith sim --seed 7                                 one run, everything drawn from the seed
  kith sim --seed 7 --trace - --trace-node n3       with all that n3 did
  kith sim --seeds 1..500 --jobs 2                  until the first failure
  kith sim --seeds 1..500 --keep-going --write runs.jsonl

exit codes: 0 valid, 1 invalid, 2 unknown, 64 wrong usage
"""
_SINGLE = {"trace": "--trace", "trace_node": "--trace-node", "trace_lines_max": "--trace-lines-max"}
_SWEEP = {
    "jobs": "--jobs",
    "keep_going": "--keep-going",
    "write": "--write",
    "run_max": "--run-max",
}
_DRAWN = {
    "nodes": "--nodes",
    "for_s": "--for",
    "profile": "--profile",
    "mutant": "--mutant",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleOrder:
    """Run one seed."""

    request: Request
    trace: str | None
    """Where its events go, or None."""
    trace_nodes: tuple[str, ...]
    """Whose; empty means everyone's."""
    trace_lines_max: int
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrder:
    """Run many seeds; `first` stands for all of them but for its seed."""

    first: Request
    seed_last: int
    jobs: int
    keep_going: bool
    write: str | None
    run_max_s: float
    """Real time that one run may take."""
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesOrder:
    """List the profiles."""

    json: bool


Order: TypeAlias = SingleOrder | SweepOrder | ProfilesOrder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run, how to watch it, and what to do with many seeds."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=_seed, metavar="N", help="run this seed")
    what.add_argument("--seeds", type=_seeds, metavar="A..B", help="run these, both ends included")
    what.add_argument("--profiles", "--list", action="store_true", help="list the profiles and end")
    drawn = parser.add_argument_group("what a run is drawn from (left out: the seed decides)")
    drawn.add_argument("--nodes", type=_nodes, metavar="N", help="how many nodes")
    drawn.add_argument(
        "--for", dest="for_s", type=_duration_s, metavar="TIME", help="how long faults go on: 60s"
    )
    drawn.add_argument("--profile", metavar="NAME", help=f"which mix ({PROFILE_DEFAULT})")
    drawn.add_argument(
        "--mutant",
        type=_mutant,
        metavar="NAME",
        help="break one rule of the core on purpose, to see a checker find it",
    )
    single = parser.add_argument_group("with --seed")
    single.add_argument(
        "--trace", metavar="FILE", help=f"write every event, one a line ({STDOUT}: standard output)"
    )
    single.add_argument(
        "--trace-node", action="append", metavar="NODE", help="only this node's; repeatable"
    )
    single.add_argument(
        "--trace-lines-max",
        type=_lines,
        metavar="N",
        help=f"lines after which it is cut ({LINES_MAX_DEFAULT:,})",
    )
    sweep = parser.add_argument_group("with --seeds")
    sweep.add_argument(
        "--jobs", type=_jobs, metavar="N", help="processes at once (one a processor)"
    )
    sweep.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    sweep.add_argument(
        "--write", metavar="FILE", help="append one JSON line for each seed as it ends"
    )
    sweep.add_argument(
        "--run-max",
        type=_duration_s,
        metavar="TIME",
        help=f"real time after which a run has failed ({RUN_MAX_DEFAULT})",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )


def order_of(arguments: argparse.Namespace) -> Order:
    """What the arguments ask for.

    Raises:
        CommandError: options that do not go together.
    """
    as_json = bool(getattr(arguments, "json", False))
    if arguments.profiles:
        _refuse(arguments, {**_DRAWN, **_SINGLE, **_SWEEP}, "--profiles")
        return ProfilesOrder(json=as_json)
    if arguments.seeds is not None:
        _refuse(arguments, _SINGLE, "--seeds")
        first, last = arguments.seeds
        jobs = arguments.jobs or min(os.cpu_count() or 1, JOBS_MAX)
        return SweepOrder(
            first=_request(arguments, first),
            seed_last=last,
            jobs=min(jobs, last - first + 1),
            keep_going=arguments.keep_going,
            write=arguments.write,
            run_max_s=arguments.run_max or parse_s(RUN_MAX_DEFAULT),
            json=as_json,
        )
    _refuse(arguments, _SWEEP, "--seed")
    if arguments.trace is None:
        _refuse(arguments, _SINGLE, "a run without --trace")
    if arguments.trace == STDOUT and as_json:
        raise CommandError(
            "--trace - and --json would both be standard output",
            hint="write the trace to a file",
        )
    return SingleOrder(
        request=_request(arguments, arguments.seed),
        trace=arguments.trace,
        trace_nodes=tuple(arguments.trace_node or ()),
        trace_lines_max=arguments.trace_lines_max or LINES_MAX_DEFAULT,
        json=as_json,
    )


def _request(arguments: argparse.Namespace, seed: int) -> Request:
    return Request(
        seed=seed,
        profile=arguments.profile or PROFILE_DEFAULT,
        nodes=arguments.nodes,
        safety_s=arguments.for_s,
        mutant=arguments.mutant,
    )


def _refuse(arguments: argparse.Namespace, options: dict[str, str], company: str) -> None:
    for name, flag in options.items():
        if getattr(arguments, name):
            raise CommandError(f"{flag} means nothing to {company}", hint="see: kith sim --help")


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        message = f"{text!r} is not a whole number from {least} to {most:,}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _mutant(text: str) -> str:
    try:
        return mutant_named(text).name
    except UnknownMutantError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seed(text: str) -> int:
    return _whole(text, 0, SEED_MAX)


def _nodes(text: str) -> int:
    return _whole(text, 1, NODES_MAX)


def _jobs(text: str) -> int:
    return _whole(text, 1, JOBS_MAX)


def _lines(text: str) -> int:
    return _whole(text, 1, LINES_MAX_MAX)


def _seeds(text: str) -> tuple[int, int]:
    first_text, dots, last_text = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds such as 1..100")
    first, last = _seed(first_text), _seed(last_text)
    if first > last:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    if last - first >= SEEDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} has more than {SEEDS_MAX:,} seeds")
    return first, last


def _duration_s(text: str) -> float:
    try:
        seconds = parse_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no time at all")
    return seconds
