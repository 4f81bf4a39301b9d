"""What processes use, read from /proc: processor time, and memory in two counts.

Resident memory counts a page of a shared library, or one that a fork left shared, in full for each
process that maps it. The proportional count (PSS) divides it among them: sums of it are true.
"""

import os
from dataclasses import dataclass
from pathlib import Path

MS_PER_S = 1_000.0
KIB = 1024
COMMAND_END = ") "
UTIME, STIME = 11, 12
"""Fields after the command's name in /proc/PID/stat; see proc(5)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process."""

    cpu_ms: float
    """Since its start, in user and system mode."""
    rss_bytes: int
    pss_bytes: int


def usage_of(pid: int) -> Usage:
    """What a process used so far, and holds now.

    Raises:
        OSError: there is no such process.
    """
    folder = Path("/proc", str(pid))
    return Usage(
        cpu_ms_of(pid),
        parse_kib((folder / "status").read_text(), "VmRSS:"),
        parse_kib((folder / "smaps_rollup").read_text(), "Pss:"),
    )


def cpu_ms_of(pid: int) -> float:
    """Processor time that a process has used, in the kernel too, in ms.

    Raises:
        OSError: there is no such process.
    """
    return parse_cpu_ms(Path("/proc", str(pid), "stat").read_text(), os.sysconf("SC_CLK_TCK"))


def parse_cpu_ms(stat: str, ticks_per_s: int) -> float:
    """Processor time in ms from /proc/PID/stat; the command's name may hold anything."""
    fields = stat.rpartition(COMMAND_END)[2].split()
    return (int(fields[UTIME]) + int(fields[STIME])) * MS_PER_S / ticks_per_s


def parse_kib(text: str, mark: str) -> int:
    """In bytes, what stands behind a mark in kB, as in /proc/PID/status; 0 if nothing does."""
    for line in text.splitlines():
        if line.startswith(mark):
            return int(line.split()[1]) * KIB
    return 0
