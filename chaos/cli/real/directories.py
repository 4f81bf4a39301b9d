"""The directory of a run that lasts bears a mark, so that a killed run's is told from others.

Rules this module keeps:

1. Whoever leaves `marked` takes the mark away: an error, Ctrl-C and SIGTERM leave logs, no litter.
2. A directory is removed only by its mark, whose process has ended.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.cluster.cluster import ClusterError
from chaos.cluster.names import new_name, owner_of

MARK = "running"
"""A file with a name of `chaos.cluster.names`."""
_NAME_BYTES_MAX = 200


@dataclass(frozen=True, slots=True, order=True)
class KilledRun:
    """A directory whose run was killed: logs and data, and no record."""

    directory: Path
    name: str


@contextmanager
def marked(directory: Path) -> Iterator[None]:
    """Mark a directory while its run lasts. Raises OSError."""
    mark = directory / MARK
    mark.write_text(new_name(), encoding="ascii")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def killed_in(runs: Path) -> list[KilledRun]:
    """Those whose process has ended without taking its mark away. Raises OSError."""
    found: list[KilledRun] = []
    # A run is there, or one of several in the directory of a climb or a blast.
    for mark in (*runs.glob(f"*/{MARK}"), *runs.glob(f"*/*/{MARK}")):
        with mark.open("rb") as file:
            name = file.read(_NAME_BYTES_MAX).decode("ascii", "replace")
        owner = owner_of(name)
        if owner is not None and not owner.is_alive:
            found.append(KilledRun(mark.parent, name))
    return sorted(found)


def remove(run: KilledRun) -> None:
    """Remove the directory with all that is in it. Raises ClusterError."""
    try:
        shutil.rmtree(run.directory)
    except OSError as error:
        raise ClusterError(f"directory {run.directory}: {error.strerror}") from None
