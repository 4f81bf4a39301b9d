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

TRIMMING = """
import sys
from pathlib import Path
from protocol.effects import TrimOutbox
from tests.storage.situations import *

store = open_alice(Path(sys.argv[1]))
loaded = store.load()
last = loaded.branches[0].commits[-1] if loaded.branches else None
first = loaded.last_dot.version + 1
print("ready", flush=True)
for one in steps(ALICE, first, 5_000, parent=last):
    version = one.commit.head.version
    store.write([one, TrimOutbox(Dot(0, max(0, version - 400)))] if version % 7 == 0 else [one],
                [result(f"u{version}", version=version)])
    print(version, flush=True)
"""
"""What everybody holds is 400 commits behind; every seventh transaction says so."""

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


@pytest.mark.slow
def test_no_commit_after_the_trim_mark_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "kith.db"
    trimmed = 0
    for life in range(1, KILLS + 1):
        acknowledged = write_until_killed(path, lines=190 + 37 * life, program=TRIMMING)

        store = open_alice(path)
        loaded = store.load()
        last = loaded.last_dot.version
        assert last in (acknowledged, acknowledged + 1)
        floor = max(0, loaded.outbox_floor.version)
        assert floor == max(0, last - last % 7 - 400)
        assert [entry.dot.version for entry in loaded.outbox] == [*range(floor + 1, last + 1)]
        again = store.recall(loaded.outbox_floor, 10_000, 10**9)
        assert [commit.head.hash for commit in again] == [entry.hash for entry in loaded.outbox]
        assert store.find_result(f"u{last}") == result(f"u{last}", version=last)
        trimmed = floor
        store.close()
    assert trimmed > 400


def write_until_killed(path: Path, *, lines: int, program: str = PROGRAM) -> int:
    """The last version that the process acknowledged before it died."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    # The pipe holds what was said until it died; the last line may be cut.
    return int([line for line in said if line.endswith("\n")][-1])
