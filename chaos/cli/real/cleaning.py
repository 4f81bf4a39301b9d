"""`kith chaos clean`: what killed runs left on this machine, shown and removed.

Networks of nodes (with the links and rules in them), processes, mounts, control groups, containers
with their networks and volumes, and directories of runs that have no record.

Rules this module keeps:

1. What belongs to a process that lives is neither shown nor touched.
2. It is looked again afterwards: the exit code tells of what is there, not of what was tried.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.cli.errors import INVALID, UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import plain, show, table
from chaos.cluster import leftovers
from chaos.cluster.cluster import ClusterError
from chaos.cluster.names import owner_of

from . import directories

DIRECTORY = "directory"
_Row = tuple[str, str, str]
"""Kind, what, name."""


def run(names: Sequence[str], runs: Path, *, dry_run: bool, as_json: bool) -> int:
    """Remove what is there, unless it is a dry run, and show it.

    The exit code is 0 if nothing is left, 1 if something is, 2 if it could not be removed.

    Args:
        names: as `what` bears them: only what is of the same processes; none: all.
        runs: where directories of runs are.
        dry_run: remove nothing.
        as_json: tell programs.

    Raises:
        CommandError: it cannot be looked at.
    """
    found, killed = _find(names, runs)
    refused = [] if dry_run else _remove(found, killed)
    before = _rows(found, killed)
    after = before if dry_run else _rows(*_find(names, runs))
    _tell(before, after, refused, as_json=as_json)
    for error in refused:
        sys.stderr.write(f"kith chaos: not removed: {plain(error)}\n")
    if refused:
        return UNKNOWN
    return INVALID if after else VALID


def _find(
    names: Sequence[str], runs: Path
) -> tuple[list[leftovers.Leftover], list[directories.KilledRun]]:
    try:
        found, killed = leftovers.find(), directories.killed_in(runs)
    except ClusterError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", exit_code=UNKNOWN) from None
    if not names:
        return list(found), killed
    owners = {owner_of(name) for name in names} - {None}
    return (
        [one for one in found if owner_of(one.name) in owners],
        [one for one in killed if owner_of(one.name) in owners],
    )


def _remove(
    found: Sequence[leftovers.Leftover], killed: Sequence[directories.KilledRun]
) -> list[str]:
    """What could not be removed, and why."""
    refused: list[str] = []
    try:
        leftovers.remove(found)
    except ClusterError as error:
        refused.append(str(error))
    if refused:
        return refused  # something may still use what lies in the directories
    for one in killed:
        try:
            directories.remove(one)
        except ClusterError as error:
            refused.append(str(error))
    return refused


def _rows(
    found: Sequence[leftovers.Leftover], killed: Sequence[directories.KilledRun]
) -> list[_Row]:
    return [
        *((one.kind, one.what, one.name) for one in found),
        *((DIRECTORY, str(one.directory), one.name) for one in killed),
    ]


def _tell(
    before: Sequence[_Row], after: Sequence[_Row], refused: Sequence[str], *, as_json: bool
) -> None:
    if as_json:
        documents: list[list[Json]] = [
            [{"kind": kind, "what": what, "name": name} for kind, what, name in rows]
            for rows in (before, after)
        ]
        show(json_text({"found": documents[0], "left": documents[1], "errors": [*refused]}))
        return
    if not before:
        show("nothing is left of killed runs")
        return
    rows = [
        [kind, what, _whose(name), "left" if (kind, what, name) in after else "removed"]
        for kind, what, name in before
    ]
    show(table(("kind", "what", "of", ""), rows))


def _whose(name: str) -> str:
    owner = owner_of(name)
    return f"process {owner.pid}, which has ended" if owner else name
