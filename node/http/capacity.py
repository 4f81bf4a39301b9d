"""How many connections the process can carry: what its open files leave.

A connection is a file descriptor. Where they run out, accepting stops, but so does opening the
database or a stream to a peer; hence what HTTP may take follows from how many there are.

Rules this module keeps:

1. The soft limit (RLIMIT_NOFILE) is raised to the hard one, which the administrator meant; the soft
   one is 1,024 for the sake of programs that use select(2), which we do not.
2. HTTP never gets the last files: `FILES_RESERVED` are for everything else.
"""

import resource
from contextlib import suppress

CONNECTIONS_USUAL_MAX = 16_384
"""Connections served unless more are asked for: room for 10,000 watchers, at most some 200 MB."""
FILES_RESERVED = 1_300
"""Files that are not for HTTP clients: 500 streams from peers, 500 to them, 64 probes with a socket
or two each, 64 readers of metrics, refusals, the database, listeners and the log."""
FILES_MAX = 1_048_576
"""What we ask for where the hard limit is none; also the most that Linux grants by itself."""


def raise_open_files() -> None:
    """Raise the limit on open files as far as this process may; for good, so once, at its start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        # A system may grant less than it says; what there is will do then.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def open_files_max() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES_MAX if soft == resource.RLIM_INFINITY else soft


def connections_within(files: int, wanted: int | None) -> int:
    """How many connections to admit: as many as wanted, but within the open files.

    Of very few files HTTP gets half.
    """
    affordable = max(files - FILES_RESERVED, files // 2, 1)
    return min(CONNECTIONS_USUAL_MAX if wanted is None else wanted, affordable)
