"""Which code it was that ran: a commit if the program lies in a git checkout, else its version.

A seed repeats a run only on the same code, so the line that replays it says which that was.
"""

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The folder that holds the packages."""
PACKAGES = ("protocol", "mesh", "chaos")
"""What a run consists of; changes elsewhere do not change it."""
GIT_WITHIN_S = 10.0
UNKNOWN = "code of unknown version"


def origin(root: Path = ROOT) -> str:
    """`at commit abc1234`, `… with changes` if the code differs from it, or `with kith 0.1.0`."""
    top = _git(root, "rev-parse", "--show-toplevel")
    # A program installed below somebody else's checkout is none of that checkout's commits.
    if top is None or Path(top).resolve() != root.resolve():
        return _version()
    commit = _git(root, "rev-parse", "--short", "HEAD")
    if not commit:
        return _version()
    changed = _git(root, "status", "--porcelain", "--", *PACKAGES)
    return f"at commit {commit}" + (" with changes" if changed != "" else "")


def _version() -> str:
    try:
        return f"with kith {importlib.metadata.version('kith')}"
    except importlib.metadata.PackageNotFoundError:
        return f"with {UNKNOWN}"


def _git(root: Path, *words: str) -> str | None:
    """What git prints, or None if it cannot say."""
    program = shutil.which("git")
    if program is None:
        return None
    # Inside a hook, git's own variables point to another tree.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            [program, "-C", str(root), *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=GIT_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
