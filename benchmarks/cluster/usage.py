"""What processes use, read from /proc: processor time and resident memory."""

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


def usage_of(pid: int) -> Usage:
    """What a process used so far, and holds now.

    Raises:
        OSError: there is no such process.
    """
    folder = Path("/proc", str(pid))
    return Usage(
        parse_cpu_ms((folder / "stat").read_text(), os.sysconf("SC_CLK_TCK")),
        parse_rss((folder / "status").read_text()),
    )


def parse_cpu_ms(stat: str, ticks_per_s: int) -> float:
    """Processor time in ms from /proc/PID/stat; the command's name may hold anything."""
    fields = stat.rpartition(COMMAND_END)[2].split()
    return (int(fields[UTIME]) + int(fields[STIME])) * MS_PER_S / ticks_per_s


def parse_rss(status: str) -> int:
    """Resident memory in bytes from /proc/PID/status; 0 if it has none."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    return 0
