"""Small libraries in C that nodes are run with, each told what to do by a few bytes for a node.

Rules this module keeps:

1. Nothing that is compiled is kept: another machine has another libc.
2. A node that runs can be told, too: it has its bytes mapped, and looks at them with every call.
   They are written in place, in one piece: a new file would not be the one that it looks at.
3. A node without the library is an error, not one that nothing is done to.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .cluster import ClusterError
from .commands import run

REMEDY = "on Debian: apt-get install gcc libc6-dev"


class Library:
    """One of them, and the bytes for each node; which it is, the heirs say.

    Args:
        folder: of the library and of the bytes; made by `open`.
        seen_as: the same folder, as nodes see it.
    """

    source: ClassVar[Path]
    at_rest: ClassVar[bytes]
    """By these it does nothing."""

    def __init__(self, folder: Path, *, seen_as: Path | None = None) -> None:
        self._folder, self._seen_as = folder, seen_as or folder
        self.library = self._seen_as / f"{self.source.stem}.so"
        """As nodes see it."""

    @classmethod
    def why_not(cls) -> str:
        """What keeps this machine from compiling it; empty if nothing does."""
        return _why_not(cls.source)

    def open(self, names: Sequence[str]) -> None:
        """Compile it; it does nothing to these nodes, so far. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _compile(self.source, self._folder / self.library.name)
        for name in names:
            self._file(name).write_bytes(self.at_rest)

    def seen_file(self, name: str) -> str:
        """Where a node's bytes lie, as the node sees it."""
        return str(self._seen_as / self._file(name).name)

    def tell(self, name: str, content: bytes, what: str) -> None:
        """Change a node's bytes. Raises ClusterError that says `what` cannot be set."""
        try:
            opened = os.open(self._file(name), os.O_WRONLY)
            try:
                os.pwrite(opened, content, 0)
            finally:
                os.close(opened)
        except OSError as error:
            raise ClusterError(f"{what} of node {name} cannot be set: {error}") from None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.{self.source.stem}"


@functools.cache
def _why_not(source: Path) -> str:
    if not _compiler():
        return f"no C compiler; {REMEDY}"
    with tempfile.TemporaryDirectory() as place:
        try:
            _compile(source, Path(place) / "trial.so")
        except ClusterError as error:
            return f"{error}; {REMEDY}"
    return ""


def _compile(source: Path, library: Path) -> None:
    if not (compiler := _compiler()):
        raise ClusterError(f"no C compiler; {REMEDY}")
    run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"])


def _compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""
