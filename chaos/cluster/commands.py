"""Programs of this machine that a cluster is made with: `ip`, `mount`, `docker`, a compiler.

Rules this module keeps:

1. No shell; each ends within its time; what it said is in the error.
2. Each is in a session of its own: Ctrl-C reaches whoever cleans up, not what cleans up.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cluster import ClusterError

TIMEOUT_S = 30.0
_SAID_MAX = 2_000


def run(
    words: Sequence[str],
    *,
    given: str = "",
    timeout_s: float = TIMEOUT_S,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run it and return what it wrote to its standard output.

    Raises:
        ClusterError: it cannot be run, takes too long, or ends with another exit code than 0.
    """
    shown = " ".join(words)
    try:
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            words,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=env,
            cwd=cwd,
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{shown}: {error.filename} is not there") from None
    except OSError as error:
        raise ClusterError(f"{shown}: {error}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shown}: not done after {timeout_s:g} s") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-_SAID_MAX:]
        raise ClusterError(f"{shown}: exit code {done.returncode}: {said}")
    return done.stdout


def succeeds(words: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether a program runs and ends with exit code 0."""
    try:
        run(words, timeout_s=timeout_s)
    except ClusterError:
        return False
    return True
