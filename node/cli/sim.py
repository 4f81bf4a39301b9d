"""`kith sim`: the simulator's own command, with its errors as this command's.

The only place at which the node knows of `chaos`, and none that a running node loads.
"""

import argparse

from chaos.cli import errors, options, sim

from .errors import CommandError
from .options import Command


def run(arguments: argparse.Namespace) -> int:
    """Simulate; the exit code is that of the verdict.

    Raises:
        CommandError: wrong usage, or a file that cannot be written.
    """
    try:
        return sim.run(arguments)
    except errors.CommandError as error:
        raise CommandError(
            error.message, error.exit_code, hint=error.hint, code=error.code
        ) from None


COMMANDS = {"sim": Command(options.add_arguments, run, options.EXAMPLES)}
