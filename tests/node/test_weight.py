"""What a node carries: nothing that only people, or other programs, need.

Each of these modules was once loaded by `kith node`, at 2 to 8 MB of its memory and up to a tenth
of the processor time that it takes to start.
"""

import contextlib
import gc
import json
import subprocess
import sys

import pytest

from node.imports import LOADING_THRESHOLDS, seldom_collected

LISTING = "import json, sys, node.cli, node.cli.node; print(json.dumps(sorted(sys.modules)))"

FREEING = """
import resource

from node.weight import give_back

def held_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

pieces = [bytearray(b"x" * 50_000) for _ in range(1_000)]
last = pieces[-1]  # it stays, behind all that is freed
del pieces
before_bytes = held_bytes()
print(give_back(), before_bytes - held_bytes())
"""
FREED_BYTES_MIN = 40_000_000
"""Of 50 MB; pages that a piece shares with another stay."""

UNWANTED = (
    "chaos", "click", "h11", "httpcore", "httpx", "mesh", "node.client",
    "pygments", "rich", "sqlalchemy.orm", "urllib.request",
)  # fmt: skip


@pytest.fixture(scope="module")
def carried() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LISTING], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", UNWANTED)
def test_a_node_is_without(carried: set[str], module: str) -> None:
    assert [one for one in carried if one == module or one.startswith(f"{module}.")] == []


def test_a_node_is_with_what_it_runs_on(carried: set[str]) -> None:
    assert {
        "node.server",
        "protocol.peer",
        "storage.store",
        "trio",
        "httptools",
        "structlog",
    } <= carried


def test_memory_that_was_freed_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREEING], capture_output=True, text=True, check=True, timeout=60
    )
    is_possible, freed_bytes = done.stdout.split()
    if is_possible == "False":
        pytest.skip("this C library cannot give back")
    assert int(freed_bytes) > FREED_BYTES_MIN


def test_garbage_is_looked_for_as_before_once_modules_are_loaded() -> None:
    before = gc.get_threshold()
    assert before != LOADING_THRESHOLDS

    with contextlib.suppress(ImportError), seldom_collected():
        meanwhile = gc.get_threshold()
        raise ImportError

    assert (meanwhile, gc.get_threshold()) == (LOADING_THRESHOLDS, before)
