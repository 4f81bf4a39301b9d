"""Small libraries in C that nodes are run with, compiled when a cluster is started.

Rules this module keeps:

1. Nothing that is compiled is kept: another machine has another libc.
"""

import functools
import shutil
import tempfile
from pathlib import Path

from .cluster import ClusterError
from .commands import run

REMEDY = "on Debian: apt-get install gcc libc6-dev"


@functools.cache
def why_not(source: Path) -> str:
    """What keeps this machine from compiling that; empty if nothing does."""
    if not _compiler():
        return f"no C compiler; {REMEDY}"
    with tempfile.TemporaryDirectory() as place:
        try:
            compile_library(source, Path(place) / "trial.so")
        except ClusterError as error:
            return f"{error}; {REMEDY}"
    return ""


def compile_library(source: Path, library: Path) -> None:
    """Raises ClusterError, with what the compiler says."""
    if not (compiler := _compiler()):
        raise ClusterError(f"no C compiler; {REMEDY}")
    run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"])


def _compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""
