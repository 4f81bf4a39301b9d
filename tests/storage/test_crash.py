"""A process killed in the middle of writing: what it acknowledged is there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .situations import ALICE, open_alice, result

PROGRAM = """
import sys
from pathlib import Path
from tests.storage.situations import *

store = open_alice(Path(sys.argv[1]))
first = store.load().last_dot.version + 1
store.begin_life()
print("ready", flush=True)
for version in range(first, 10**9):
    store.write([keep(ALICE, version, **{f"s{version % 50}": b"%d" % version})],
                [result(f"u{version}", version=version)])
    print(version, flush=True)
"""

KILLS = 4


@pytest.mark.slow
def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "kith.db"
    for life in range(1, KILLS + 1):
        acknowledged = write_until_killed(path, lines=20 + 37 * life)

        store = open_alice(path)
        loaded = store.load()
        (branch,) = loaded.branches
        assert loaded.incarnation == life
        # One more may be on disk: killed between the commit and the word.
        assert loaded.last_dot.version in (acknowledged, acknowledged + 1)
        assert branch.head is not None
        assert branch.head.dot == loaded.last_dot
        newest = {record.key: int(record.body) for record in branch.records}
        for version in range(max(1, acknowledged - 49), acknowledged + 1):
            assert newest[f"s{version % 50}"] in (version, acknowledged + 1)
        assert store.find_result(f"u{acknowledged}") == result(
            f"u{acknowledged}", version=acknowledged
        )
        assert branch.owner == ALICE
        store.close()


def write_until_killed(path: Path, *, lines: int) -> int:
    """The last version that the process acknowledged before it died."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    # The pipe holds what was said until it died; the last line may be cut.
    return int([line for line in said if line.endswith("\n")][-1])
