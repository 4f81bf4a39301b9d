"""The `kith` command, a module per noun.

Rules this package keeps:

1. `main` returns an exit code; data goes to standard output, messages to standard error, and no
   traceback reaches a user (`KITH_DEBUG=1` asks for one).
2. A verb's module is loaded only when that verb is typed, so that `kith node` carries neither
   tables nor an HTTP client. Hence a table of names here, and no imports of the modules.
"""

import argparse
import difflib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper

from node.imports import seldom_collected

from .errors import GOOD, INTERRUPTED, UNKNOWN, USAGE, CommandError, UsageError
from .options import GLOBAL_NAMES, Command, KithParser, global_options

__all__ = ("main",)


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives, and the line of help that it has in the list."""

    module: str
    summary: str
    shared: tuple[str, ...] = tuple(GLOBAL_NAMES)
    """The global options that mean something to it."""


VERBS = {
    "dev": Verb("dev", "start a throw-away cluster on this machine, with a demo service", ()),
    "node": Verb("node", "run a node in the foreground", ("token_file",)),
    "status": Verb("status", "how the node and its cluster are"),
    "peers": Verb("peers", "list the members of the cluster (also: members)"),
    "services": Verb("services", "list the services that are registered"),
    "lookup": Verb("services", "where a service is, and how healthy"),
    "watch": Verb("live.watch", "what changes, as it happens; or one service, live"),
    "register": Verb("register", "register an instance of a service with the node"),
    "deregister": Verb("register", "remove an instance that was registered with the node"),
    "partitions": Verb("partitions", "what partitions of the cluster did"),
    "document": Verb("documents", "read and write a document that several nodes may write"),
    "conflicts": Verb("documents", "what is in conflict: documents, and hosts of guests"),
    "clock": Verb("clock", "what the node has heard, or how that stands to another node"),
    "log": Verb("clock", "the last commits of an owner"),
    "queue": Verb("queue", "what was committed at the node and has not reached every peer"),
    "update": Verb("queue", "which peers hold an update, and which do not"),
    "evidence": Verb("evidence", "which owners forked, and whether it is settled"),
    "join": Verb("peers", "make the node join another one now"),
    "forget": Verb("peers", "drop a dead member before its time"),
    "keys": Verb("keys", "show this node's keys, rotate to the next one, or revoke them"),
    "sign": Verb("sign", "sign the word of a guest that has a key of its own", ("json",)),
    "leave": Verb("peers", "make the node leave the cluster for good"),
    "backup": Verb("backup", "write all of a node into one file, running or not"),
    "restore": Verb("backup", "put a backup back into a data directory", ("json",)),
    "doctor": Verb(
        "doctor", "whether the data directories of nodes that do not run are whole", ("json",)
    ),
    "sim": Verb("chaos", "try the protocol in simulated clusters, replayed by seed", ("json",)),
    "chaos": Verb("chaos", "put real clusters through partitions, crashes and worse", ("json",)),
    "version": Verb("version", "print the version of this program"),
}
ALIASES = {"members": "peers"}
EPILOG = """\
exit codes: 0 good, 1 degraded or invalid, 2 unknown or unreachable, 64 wrong usage
'kith VERB --help' shows a verb's own options; 'kith dev' is a good first step
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but the code escapes."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _run(words)
        sys.stdout.flush()
    except CommandError as error:
        code = _report(error, as_json="--json" in words)
    except SystemExit as leaving:  # argparse has printed the help
        code = leaving.code if isinstance(leaving.code, int) else GOOD
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = _reader_gone()
    except Exception as error:  # the last line of defence: a bug, but not a traceback
        code = _internal(error)
    return code


def _run(words: list[str]) -> int:
    outer = _outer_parser()
    if not words:
        outer.print_help(sys.stderr)
        return USAGE
    if words[0] in {"--version", "-V"}:
        words = ["version", *words[1:]]
    arguments = outer.parse_args(words)
    name = ALIASES.get(arguments.verb, arguments.verb)
    verb = VERBS.get(name)
    if verb is None:
        near = difflib.get_close_matches(name, [*VERBS, *ALIASES], n=2)
        hint = f"did you mean: {' or '.join(near)}?" if near else "see: kith --help"
        raise UsageError(f"there is no verb {name!r}", hint=hint)
    for option, flag in GLOBAL_NAMES.items():
        if hasattr(arguments, option) and option not in verb.shared:
            raise UsageError(f"{flag} means nothing to kith {name}", hint=f"see: kith {name} -h")
    with seldom_collected():
        module = importlib.import_module(f"node.cli.{verb.module}")
    commands: dict[str, Command] = module.COMMANDS
    parser = _inner_parser(name, verb, commands[name])
    rest: list[str] = arguments.rest
    return commands[name].run(parser.parse_args(rest, arguments))


def _outer_parser() -> KithParser:
    width = max(len(name) for name in VERBS)
    listing = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
    parser = KithParser(
        prog="kith",
        usage="kith [global options] VERB [options]",
        description=f"A service registry without servers.\n\nverbs:\n{listing}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[global_options()],
        allow_abbrev=False,
    )
    parser.add_argument("verb", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _inner_parser(name: str, verb: Verb, command: Command) -> KithParser:
    parser = KithParser(
        prog=f"kith {name}",
        description=verb.summary[0].upper() + verb.summary[1:] + ".",
        epilog=command.examples or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[global_options()] if verb.shared == tuple(GLOBAL_NAMES) else [],
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return parser


def _report(error: CommandError, *, as_json: bool) -> int:
    if as_json:
        fields = {"code": error.code, "message": error.message, "field": error.field or None}
        print(json.dumps({"error": fields}, indent=2, ensure_ascii=False))
    print(f"kith: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"      {error.hint}", file=sys.stderr)
    return error.exit_code


def _reader_gone() -> int:
    # Python flushes standard output once more as it ends; let that go nowhere.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return GOOD
    return GOOD


def _internal(error: Exception) -> int:
    if os.environ.get("KITH_DEBUG"):
        traceback.print_exception(error)
    print(f"kith: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    hint = "this is a bug: please report it; KITH_DEBUG=1 shows where it happened"
    print(f"      {hint}", file=sys.stderr)
    return UNKNOWN
