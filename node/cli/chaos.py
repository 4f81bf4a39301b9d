"""`kith sim` and `kith chaos`: commands of `chaos` itself, with their errors as this command's.

The only place at which the node knows of `chaos`, and none that a running node loads.
"""

import argparse
from collections.abc import Callable
from functools import partial

from chaos.cli import errors, options, sim
from chaos.cli.real import command
from chaos.cli.real import options as real

from .errors import CommandError
from .options import Command


def run(perform: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Simulate, or put a real cluster through scenarios; the exit code is that of the verdict.

    Raises:
        CommandError: wrong usage, or what cannot be had or written.
    """
    try:
        return perform(arguments)
    except errors.CommandError as error:
        raise CommandError(
            error.message, error.exit_code, hint=error.hint, code=error.code
        ) from None


COMMANDS = {
    "sim": Command(options.add_arguments, partial(run, sim.run), options.EXAMPLES),
    "chaos": Command(real.add_arguments, partial(run, command.run), real.EXAMPLES),
}
