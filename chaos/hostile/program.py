"""The command line of the hostile programs.

Rules this module keeps:

1. Rates, times and targets are bounded; wrong usage is refused before anything is sent.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from .flooder import flood
from .forker import fork
from .keys import HostileError, read_keys
from .slanderer import AHEAD, Aim, slander

TARGETS_MAX = 64
PER_S_MAX = 5_000.0
FOR_S_MAX = 86_400.0
AHEAD_MAX = 2**62
KINDS = ("slanderer", "forker", "flooder")
_ABOUT = "Misuse the keys of a member of a cluster of your own, to see what comes of it."


def main(words: Sequence[str] | None = None) -> int:
    """Run one; 1 if it cannot do what it is for, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m chaos.hostile", description=_ABOUT)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--key-dir", type=Path, help="data directory of the member; flooder: none")
    parser.add_argument(
        "--target", action="append", required=True, type=_address, metavar="HOST:PORT",
        help="gossip address of a node; may be repeated",
    )  # fmt: skip
    parser.add_argument("--per-s", type=_between(0.01, PER_S_MAX), required=True)
    parser.add_argument("--for-s", type=_between(0.01, FOR_S_MAX), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--accuse", action="append", default=[], type=_address, metavar="HOST:PORT",
        help="slanderer: whom it speaks of, told only if a target too; may be repeated (targets)",
    )  # fmt: skip
    parser.add_argument(
        "--ahead", type=_whole(1, AHEAD_MAX), default=AHEAD,
        help=f"slanderer: the counter of the first vote ({AHEAD})",
    )  # fmt: skip
    given = parser.parse_args(words)
    if len(given.target) > TARGETS_MAX:
        parser.error(f"--target: {len(given.target)} of them; {TARGETS_MAX} at most")
    if given.key_dir is None and given.kind != "flooder":
        parser.error(f"--key-dir: a {given.kind} needs the keys of a member")
    if given.kind != "slanderer" and (given.accuse or given.ahead != AHEAD):
        parser.error("--accuse, --ahead: only a slanderer accuses")
    try:
        done = _run(given, Random(given.seed))
    except HostileError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps(done), flush=True)  # noqa: T201
    return 0


def _run(given: argparse.Namespace, rng: Random) -> dict[str, int]:
    pace = {"per_s": given.per_s, "for_s": given.for_s}
    if given.key_dir is None:
        return flood(None, given.target, **pace, rng=rng)
    stolen = read_keys(given.key_dir)
    match given.kind:
        case "slanderer":
            aim = Aim(tuple(given.accuse), given.ahead)
            return slander(stolen, given.target, **pace, rng=rng, aim=aim)
        case "forker":
            return fork(stolen, given.target, **pace, rng=rng)
        case _:
            return flood(stolen, given.target, **pace, rng=rng)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host, int(port)


def _between(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low:g} to {high:g}")
        return number

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return read
