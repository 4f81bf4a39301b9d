"""The programs that we are measured beside and with, and how they come here.

Rules this module keeps:

1. Nothing is installed but packages of Debian, as root, with a word about it before, and not with
   `--no-install`.
2. What is missing is said aloud, with the command that installs it; the run goes on without.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass

INSTALL_TIMEOUT_S = 300.0
APT = "apt-get"


@dataclass(frozen=True, slots=True)
class Program:
    """One, and where it comes from."""

    name: str
    package: str
    """Of Debian; several with blanks between."""
    use: str


PROGRAMS = (
    Program("etcd", "etcd-server", "the peer of lookups and registrations"),
    Program("serf", "serf", "the peer of clusters"),
    Program("wrk", "wrk", "makes the load of HTTP"),
    Program("h2load", "nghttp2-client", "makes the load of etcd's gRPC"),
    Program(
        "go", "golang-go golang-github-hashicorp-memberlist-dev", "builds a hundred of memberlist"
    ),
    Program("iptables", "iptables", "counts the bytes between nodes"),
)


def missing(names: Iterable[str]) -> list[Program]:
    """Those that are not here."""
    wanted = dict.fromkeys(names)
    return [one for one in PROGRAMS if one.name in wanted and shutil.which(one.name) is None]


def install(programs: list[Program], say: Callable[[str], None]) -> None:
    """Install what is missing, if that can be done here; else say what is left out."""
    if not programs:
        return
    packages = [name for one in programs for name in one.package.split()]
    command = f"{APT} install {' '.join(packages)}"
    if os.geteuid() or shutil.which(APT) is None:
        for one in programs:
            say(f"SKIPPED: {one.name} is not here ({one.use}); on Debian, as root: {command}")
        return
    say(f"installing from Debian: {' '.join(packages)} (without: --no-install)")
    try:
        _apt(packages)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"SKIPPED: {command} failed: {_reason(error)}")


def _apt(packages: list[str]) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        [APT, "install", "--yes", "--quiet", "--no-install-recommends", *packages],
        capture_output=True,
        text=True,
        check=True,
        timeout=INSTALL_TIMEOUT_S,
        env=quiet,
    )


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
