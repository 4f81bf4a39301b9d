"""What a figure was measured on: commit, versions, machine, and what else the machine did."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import deployed

ROOT = Path(__file__).parents[2]
ASK_TIMEOUT_S = 10.0
GB = 1_000_000.0
"""In the kB of /proc/meminfo."""
SHORT = 7


def commit() -> str:
    """Of the checkout, shortened; empty outside of one."""
    return _told("git", "-C", str(ROOT), "rev-parse", f"--short={SHORT}", "HEAD")


def is_clean() -> bool:
    """Whether what runs is what the commit says."""
    return not _told("git", "-C", str(ROOT), "status", "--porcelain")


def about(mode: str, at: str) -> dict[str, str]:
    """Everything that a reader needs to judge a figure, as words.

    Args:
        mode: how much was measured.
        at: when the run began.
    """
    return {
        "when": at,
        "mode": mode,
        "commit": f"{commit() or 'unknown'}{'' if is_clean() else ', with changes'}",
        "versions": ", ".join(f"{name} {value}" for name, value in versions().items()),
        "machine": machine(),
        "load average before": " ".join(f"{one:.2f}" for one in os.getloadavg()),
    }


def versions() -> Mapping[str, str]:
    """Of Kith and of each peer that is there."""
    ours = _told(*deployed.VERSION)
    found = {
        "Kith": _word_after(ours, "kith "),
        "Python": _word_after(ours, "(Python ").rstrip(")"),
        "etcd": _word_after(_told("etcd", "--version"), "Version:"),
        "Serf": _package_of("serf") or _told("serf", "version").partition("\n")[0],
        "wrk": _package_of("wrk"),
        "h2load": _told("h2load", "--version").rpartition("/")[2],
        "hypercorn": _distribution("hypercorn"),
        "trio": _distribution("trio"),
        "kernel": platform.release().partition("-")[0],
    }
    return {name: value for name, value in found.items() if value}


def machine() -> str:
    """Processor, cores, memory."""
    model = _line_of("/proc/cpuinfo", "model name") or platform.machine()
    words = _line_of("/proc/meminfo", "MemTotal").split()
    memory = f", {int(words[0]) / GB:.0f} GB" if words else ""
    return f"{model}, {os.cpu_count()} processors{memory}, {platform.system()}"


def in_brief() -> list[str]:
    """Cores, architecture and kernel, each a word or two for a title."""
    return [f"{os.cpu_count()} processors", platform.machine(), platform.release()]


def _line_of(path: str, key: str) -> str:
    """What stands behind the first `key :` of a file of /proc; empty if nothing does."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _word_after(told: str, mark: str) -> str:
    rest = told.partition(mark)[2].split()
    return rest[0] if rest else ""


def package(name: str) -> str:
    """The version of a package of Debian; empty if there is none."""
    return _told("dpkg-query", "--show", "--showformat=${Version}", name)


def _package_of(program: str) -> str:
    """Where a program is that of the package: some call themselves otherwise than it does."""
    return package(program) if shutil.which(program) else ""


def _distribution(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _told(*words: str) -> str:
    """What a program prints; empty if there is none, or it fails."""
    command: Sequence[str] = words
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=ASK_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
