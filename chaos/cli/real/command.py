"""`kith chaos`: which verb does what."""

import argparse

from . import holding, listing, reporting, running


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for; the exit code.

    Raises:
        CommandError: wrong usage, or a cluster that cannot be had.
    """
    as_json = bool(getattr(arguments, "json", False))
    match arguments.chaos_verb:
        case "list":
            return listing.run(as_json=as_json)
        case "partition":
            return holding.partition(arguments.cluster, arguments.groups, as_json=as_json)
        case "report":
            return reporting.run(arguments.runs, arguments.write_docs, as_json=as_json)
        case "heal":
            return holding.heal(arguments.cluster, as_json=as_json)
        case _:
            return running.run(arguments, as_json=as_json)
