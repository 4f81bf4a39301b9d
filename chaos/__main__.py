"""`python -m chaos sim` is `kith sim`, for where only the simulator is of interest."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from chaos.cli import options, sim
from chaos.cli.errors import INTERRUPTED, CommandError
from chaos.cli.report import json_text


class Parser(argparse.ArgumentParser):
    """argparse, except that a wrong command line is an error value and not an exit."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line.

        Raises:
            CommandError: always.
        """
        raise CommandError(message, hint=f"see: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="python -m chaos", description="Faults, checkers, simulation.")
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=Parser)
    verb = verbs.add_parser(
        "sim",
        help="run the simulator on one seed or on many",
        epilog=options.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_arguments(verb)
    try:
        return sim.run(parser.parse_args(words))
    except CommandError as error:
        if "--json" in words:
            fields = {"code": error.code, "message": error.message, "field": None}
            sys.stdout.write(json_text({"error": fields}) + "\n")
        sys.stderr.write(f"kith: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"      {error.hint}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
