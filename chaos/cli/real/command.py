"""`kith chaos`: which verb does what."""

import argparse
from collections.abc import Mapping
from typing import Protocol

from . import cleaning, climbing, drawing, holding, listing, reporting, running


class _Verb(Protocol):
    def __call__(self, arguments: argparse.Namespace, *, as_json: bool) -> int: ...


def _list(arguments: argparse.Namespace, *, as_json: bool) -> int:
    del arguments  # there are none
    return listing.run(as_json=as_json)


def _partition(arguments: argparse.Namespace, *, as_json: bool) -> int:
    return holding.partition(arguments.cluster, arguments.groups, as_json=as_json)


def _heal(arguments: argparse.Namespace, *, as_json: bool) -> int:
    return holding.heal(arguments.cluster, as_json=as_json)


def _report(arguments: argparse.Namespace, *, as_json: bool) -> int:
    return reporting.run(arguments.runs, arguments.write_docs, as_json=as_json)


def _clean(arguments: argparse.Namespace, *, as_json: bool) -> int:
    return cleaning.run(arguments.names, arguments.dir, dry_run=arguments.dry_run, as_json=as_json)


_VERBS: Mapping[str, _Verb] = {
    "list": _list,
    "run": running.run,
    "monkey": drawing.monkey,
    "gradual": climbing.gradual,
    "blast": climbing.blast,
    "report": _report,
    "partition": _partition,
    "heal": _heal,
    "clean": _clean,
}


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for; the exit code.

    Raises:
        CommandError: wrong usage, or a cluster that cannot be had.
    """
    as_json = bool(getattr(arguments, "json", False))
    return _VERBS[arguments.chaos_verb](arguments, as_json=as_json)
