"""How many connections the open files leave."""

import subprocess
import sys

import pytest

from node.http.capacity import (
    CONNECTIONS_USUAL_MAX,
    FILES_MAX,
    FILES_RESERVED,
    connections_within,
    open_files_max,
)

RAISE = """
import resource
from node.http.capacity import open_files_max, raise_open_files
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
before = open_files_max()
raise_open_files()
raise_open_files()
print(before, open_files_max(), hard)
"""


@pytest.mark.parametrize(
    ("files", "wanted", "admitted"),
    [
        (FILES_MAX, None, CONNECTIONS_USUAL_MAX),
        (FILES_MAX, 50_000, 50_000),
        (20_000, None, CONNECTIONS_USUAL_MAX),
        (20_000, 100, 100),
        (20_000, 50_000, 20_000 - FILES_RESERVED),
        (4_096, None, 4_096 - FILES_RESERVED),
        (1_024, None, 512),
        (1, None, 1),
    ],
)
def test_connections_follow_from_the_open_files(
    files: int, wanted: int | None, admitted: int
) -> None:
    assert connections_within(files, wanted) == admitted


def test_the_limit_on_open_files_is_raised_to_the_hard_one() -> None:
    told = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True)
    before, after, hard = map(int, told.stdout.split())

    assert (before, after) == (64, FILES_MAX if hard < 0 else hard)
    assert 0 < open_files_max() <= FILES_MAX
